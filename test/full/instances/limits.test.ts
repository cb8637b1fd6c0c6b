import { randomInt } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { budgets } from '../../../src/limits/budgets.ts'
import { password, signUp, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'
import { ownRedis } from '../../support/redis.ts'

const given = process.env['TEST_REDIS_URL']
if (!given) throw new Error('TEST_REDIS_URL must name a Redis server for this test')

const share = Math.floor(budgets.login.max / 4)

/** Two instances on one database and one Redis, and their log lines. */
async function instances(t: Test, redisUrl: string, env: Record<string, string> = {}) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({
    RATE_LIMITS: 'on',
    LOG_LEVEL: 'info',
    DATABASE_URL: url,
    REDIS_URL: redisUrl,
    ...env,
  })
  const log = new EventEmitter()
  const start = async () => {
    const { db, listen, migrate } = await openDatabase(config, () => {})
    await migrate()
    const logStream = { write: (line: string) => log.emit('line', JSON.parse(line)) }
    const app = await buildApp(config, { db, listen, logStream })
    await app.ready()
    t.teardown(() => app.close())
    return app
  }
  return { one: await start(), two: await start(), log }
}

/** Waits for the next line with these words of each instance. */
function loggedByBoth(log: EventEmitter, words: string): Promise<{ level: number }[]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not logged by both: ${words}`)), 20_000)
    const lines: { level: number }[] = []
    const listen = (line: { msg: string; level: number }) => {
      if (!line.msg.includes(words)) return
      lines.push(line)
      if (lines.length < 2) return
      clearTimeout(timer)
      log.off('line', listen)
      resolve(lines)
    }
    log.on('line', listen)
  })
}

/** A random address, without counters of earlier runs. */
const newAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`

/** An invalid login: counted, without computing a hash. */
const login = (app: FastifyInstance, from: string) =>
  app.inject({ method: 'POST', url: '/api/auth/login', payload: {}, remoteAddress: from })

/** Sends logins until one is limited. @returns how many passed */
async function letThrough(apps: readonly FastifyInstance[], from: string): Promise<number> {
  for (let sent = 0; sent <= 100; sent++) {
    const { statusCode } = await login(apps[sent % apps.length] as FastifyInstance, from)
    if (statusCode === 429) return sent
    if (statusCode !== 400) throw new Error(`answered ${statusCode}`)
  }
  throw new Error('no limit')
}

t.test('the limits of an address and of an account hold across instances (H07)', async (t) => {
  const { one, two } = await instances(t, given)
  const from = newAddress()
  t.equal(await letThrough([one, two], from), budgets.login.max)
  for (const app of [one, two]) {
    const answer = await login(app, from)
    t.equal(answer.statusCode, 429)
    const wait = Number(answer.headers['retry-after'])
    t.ok(wait > 0 && wait <= 60, `Retry-After: ${wait}`)
  }
  t.equal((await login(two, newAddress())).statusCode, 400)

  const alice = await signUp(one, 'alice')
  const guess = (at: number, using = 'a wrong guess') =>
    (at % 2 ? one : two).inject({
      method: 'POST',
      url: '/api/auth/login',
      payload: { email: alice.email, password: using },
      remoteAddress: newAddress(),
    })
  const answers = await Promise.all(Array.from({ length: 60 }, (_, at) => guess(at)))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 401).length, budgets.account.max)
  t.equal(statuses.filter((status) => status === 429).length, 60 - budgets.account.max)
  for (const at of [0, 1]) t.equal((await guess(at, password)).statusCode, 429)
})

t.test('correct passwords are not counted, on any instance (H07)', async (t) => {
  const { one, two } = await instances(t, given)
  const alice = await signUp(one, 'alice')
  for (let at = 0; at < budgets.account.max + 5; at++) {
    const answer = await (at % 2 ? one : two).inject({
      method: 'POST',
      url: '/api/auth/login',
      payload: { email: alice.email, password },
      remoteAddress: newAddress(),
    })
    t.equal(answer.statusCode, 200)
  }
})

t.test('a request costs one round trip to Redis, one that verifies a password two', async (t) => {
  const redis = await ownRedis(t)
  const { one } = await instances(t, redis.url)
  const alice = await signUp(one, 'alice')
  /** Number of script calls. */
  const ran = () =>
    redis.command(async (client) => {
      const stats = await client.info('commandstats')
      const calls = [...stats.matchAll(/^cmdstat_(eval|evalsha):calls=(\d+)/gm)].map(([, , count]) =>
        Number(count),
      )
      return calls.reduce((sum, count) => sum + count, 0)
    })
  const cost = async (requests: number, send: () => Promise<unknown>) => {
    const before = await ran()
    for (let sent = 0; sent < requests; sent++) await send()
    return ((await ran()) - before) / requests
  }
  t.equal(await cost(20, () => alice.call('GET', alice.tasks)), 1)
  t.equal(await cost(20, () => one.inject('/nowhere')), 1)
  t.equal(await cost(5, () => login(one, newAddress())), 1, 'an invalid body')
  const wrong = { email: alice.email, password: 'a wrong guess' }
  t.equal(await cost(5, () => one.inject({ method: 'POST', url: '/api/auth/login', payload: wrong })), 2)

  const keys = await redis.command((client) => client.keys('*'))
  t.notMatch(keys.join(), /@|alice/, 'no email address in Redis')
  const ends = await redis.command((client) => Promise.all(keys.map((key) => client.pttl(key))))
  t.ok(
    ends.every((end) => end > 0),
    'every key expires',
  )
})

t.test('every failure of Redis leaves stricter limits, no 500, and recovers (J09)', async (t) => {
  const redis = await ownRedis(t)
  const { one, two, log } = await instances(t, redis.url)
  const faults: Record<string, { breaks: () => unknown; mends: () => unknown }> = {
    'stopped and started': { breaks: redis.kill, mends: redis.start },
    slow: { breaks: redis.freeze, mends: redis.thaw },
    'read-only': {
      breaks: () => redis.command((client) => client.replicaof('127.0.0.1', 1)),
      mends: () => redis.command((client) => client.replicaof('no', 'one')),
    },
    full: {
      breaks: () => redis.command((client) => client.config('SET', 'maxmemory', '1')),
      mends: () => redis.command((client) => client.config('SET', 'maxmemory', '0')),
    },
  }
  for (const [name, { breaks, mends }] of Object.entries(faults)) {
    t.equal(await letThrough([one, two], newAddress()), budgets.login.max, `before ${name}`)
    const away = loggedByBoth(log, 'Redis does not answer')
    await breaks()
    const from = newAddress()
    const start = performance.now()
    t.equal(await letThrough([one], from), share, `${name}: a share of the budget`)
    t.equal(await letThrough([two], from), share, 'on each instance')
    t.ok(performance.now() - start < 2_000, 'without waiting for Redis')
    t.match(await away, [{ level: 40 }, { level: 40 }])

    const back = loggedByBoth(log, 'Redis answers again')
    await mends()
    t.match(await back, [{ level: 30 }, { level: 30 }], 'recovers by itself')
  }
  t.equal(await letThrough([one, two], newAddress()), budgets.login.max, 'after all of them')
})

t.test('Redis losing its counters resets no limit of an instance (J09)', async (t) => {
  const redis = await ownRedis(t)
  const { one } = await instances(t, redis.url)
  const from = newAddress()
  for (let sent = 0; sent < 20; sent++) t.equal((await login(one, from)).statusCode, 400)
  await redis.command((client) => client.flushall())
  t.equal(await letThrough([one], from), budgets.login.max - 20)
  await redis.command((client) => client.script('FLUSH'))
  t.equal(
    await letThrough([one], newAddress()),
    budgets.login.max,
    'scripts that Redis has lost are loaded again',
  )
})

t.test('a start without Redis applies limits, and uses Redis when it is reachable (J09)', async (t) => {
  const redis = await ownRedis(t)
  await redis.kill()
  const { one, two, log } = await instances(t, redis.url)
  t.equal((await one.inject('/health/ready')).statusCode, 200)
  t.equal(await letThrough([one], newAddress()), share)
  const back = loggedByBoth(log, 'Redis answers again')
  await redis.start()
  await back
  t.equal(await letThrough([one, two], newAddress()), budgets.login.max)
})
