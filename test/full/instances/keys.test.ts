import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { verifiesWith } from '../../support/mint.ts'
import { ask, post, runCommand, type Service, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

/** A pool small enough to be busy under load. */
const settings = { DATABASE_POOL_SIZE: '2', ALGORITHM: 'EdDSA', RATE_LIMITS: 'off' }

const credentials = { email: 'test@example.com', password: 'correct horse battery' }

/** Asks again after a 503, as a client does: an instance may be ready a moment after another. */
async function jwksOf(service: Service): Promise<{ keys: { kid: string }[] }> {
  const answer = await ask(`${service.url}/.well-known/jwks.json`)
  if (answer.status === 503) {
    await delay(200)
    return jwksOf(service)
  }
  if (answer.status !== 200) throw new Error(`the JWKS answered ${answer.status}: ${await answer.text()}`)
  return (await answer.json()) as { keys: { kid: string }[] }
}

async function logIn(service: Service): Promise<{ token: string; user: { id: string } }> {
  const answer = await post(`${service.url}/api/auth/login`, credentials)
  if (answer.status !== 200) throw new Error(`login answered ${answer.status}`)
  return (await answer.json()) as { token: string; user: { id: string } }
}

const kidOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

for (const algorithm of ['EdDSA', 'RS256']) {
  t.test(`concurrent first starts of three instances create one ${algorithm} key`, async (t) => {
    const env = { ...(await production(t, settings)), ALGORITHM: algorithm }
    const cwd = t.testdir()
    const services = await Promise.all([1, 2, 3].map(() => startService(t, env, cwd)))
    const kids = (await Promise.all(services.map(jwksOf))).map(({ keys }) =>
      keys.map(({ kid }) => kid).join(),
    )
    t.equal(new Set(kids).size, 1)
    t.match(kids[0], /^[\w-]{43}$/)
    for (const service of services) t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
  })
}

t.test('`keys rotate --now` under load on two instances: no 401 (J20)', { timeout: 120_000 }, async (t) => {
  const env = await production(t, settings)
  const cwd = t.testdir()
  const services = await Promise.all([startService(t, env, cwd), startService(t, env, cwd)])
  const [one, two] = services as [Service, Service]
  await post(`${one.url}/api/auth/signup`, { ...credentials, name: 'Test User' })

  let tokens = [await logIn(one), await logIn(two)]
  const statuses = new Map<number, number>()
  const seen = new Set<string>()
  let slowest = 0
  let running = true
  /** Sends every token to both instances in a loop. */
  const load = async () => {
    while (running) {
      for (const { token, user } of tokens) {
        for (const service of services) {
          const begun = performance.now()
          const answer = await ask(`${service.url}/api/${user.id}/tasks`, {
            headers: { authorization: `Bearer ${token}` },
          })
          await answer.arrayBuffer()
          slowest = Math.max(slowest, performance.now() - begun)
          statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        }
      }
    }
  }
  /** New tokens of both, used at once on the other instance, which may not know their key yet. */
  const logins = async () => {
    while (running) {
      tokens = [...tokens.slice(-4), await logIn(one), await logIn(two)]
      for (const { token } of tokens) seen.add(kidOf(token))
      await delay(100)
    }
  }
  /** An attacker's unknown kids use up the one reload per second. */
  const noise = async () => {
    const [header = '', ...rest] = tokens[0]?.token.split('.') ?? []
    while (running) {
      const kid = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
      const forged = Buffer.from(
        JSON.stringify({ ...JSON.parse(Buffer.from(header, 'base64url').toString()), kid }),
      )
      const authorization = `Bearer ${[forged.toString('base64url'), ...rest].join('.')}`
      for (const { url } of services) {
        if ((await ask(`${url}/api/auth/me`, { headers: { authorization } })).status !== 401) t.fail('forged')
      }
    }
  }
  const workers = [load(), load(), load(), load(), logins(), noise()]
  await delay(2_000)
  const rotated = await runCommand(t, env, cwd, 'keys', 'rotate', '--now')
  t.match(rotated, { code: 0, output: /^key [\w-]{43} signs from / })
  const next = rotated.output.split(' ')[1] ?? ''
  // An instance reloads its keys every 30 seconds.
  for (let at = 0; at < 350 && !seen.has(next); at++) await delay(100)
  await delay(3_000)
  running = false
  await Promise.all(workers)

  t.equal(seen.size, 2, 'both keys signed')
  t.same([...statuses.keys()], [200])
  t.comment(`${statuses.get(200)} requests, slowest ${slowest.toFixed(0)} ms`)
  const jwks = await Promise.all(services.map(jwksOf))
  for (const { keys } of jwks) t.equal(keys.length, 2)
  for (const { token } of tokens) t.ok(verifiesWith(jwks[0] as never, token))
})

t.test('a SECRET_KEY that decrypts no key ends the start with one line', async (t) => {
  const env = await production(t, settings)
  const cwd = t.testdir()
  const first = await startService(t, env, cwd)
  await first.stop('SIGTERM')
  const changed = { ...env, SECRET_KEY: 'the new one: c7Wn3eRk8ZqVb5XyT0kk' }
  const refused = await runCommand(t, changed, cwd)
  t.equal(refused.code, 1)
  t.match(
    refused.output,
    /^latchkey: signing key [\w-]{43} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one\n$/,
  )
  const both = await startService(t, { ...changed, SECRET_KEY_PREVIOUS: env['SECRET_KEY'] as string }, cwd)
  await both.stop('SIGTERM')
  const after = await startService(t, changed, cwd)
  t.same(await after.stop('SIGTERM'), { code: 0, signal: null })
})

t.test('the key commands refuse an outdated schema and a second pending key', async (t) => {
  const env = await production(t, settings)
  const cwd = t.testdir()
  const keys = (...args: string[]) => runCommand(t, env, cwd, 'keys', ...args)
  t.match(await keys('list'), {
    code: 1,
    output: 'latchkey: the database schema is behind: run `npm run migrate` first\n',
  })
  await runCommand(t, env, cwd, 'migrate')
  t.match(await keys('list'), { code: 0, output: /^kid +algorithm +state +signs_from +ends\n$/ })
  t.match(await keys('rotate'), { code: 0, output: /^key [\w-]{43} signs from / }, 'the first key')
  t.match(await keys('rotate'), { code: 0, output: /^key [\w-]{43} signs from / })
  t.match(await keys('rotate'), {
    code: 1,
    output: /^latchkey: key [\w-]{43} waits to sign from .*; --now makes one that signs at once\n$/,
  })
  t.match(await keys('rotate', '--now'), { code: 0 })
  const { output } = await keys('list')
  t.same(output.match(/(next|signing|verifying)/g)?.slice(0, 3), ['verifying', 'verifying', 'signing'])
})
