import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Service, startCommand, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'
import { networkTo } from '../../support/proxy.ts'
import { get, type RemoteUser, signUpAt } from '../../support/remote-user.ts'

interface Outcome {
  readonly status?: number
  /** The Connection header of the response. */
  readonly connection?: string
  /** The socket error of a request without a response. */
  readonly error?: string
}

async function send(agent: Agent, url: string, { token }: RemoteUser): Promise<Outcome> {
  const sent = request(url, { agent, headers: { authorization: `Bearer ${token}` } })
  sent.end()
  try {
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
    return { status: answer.statusCode ?? 0, connection: answer.headers.connection ?? '' }
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? String(error) }
  }
}

async function underLoad(t: Test) {
  const service = await startService(t, await production(t, { RATE_LIMITS: 'off' }), t.testdir())
  const user = await signUpAt(service.url)
  return { service, user, tasks: `${service.url}${user.tasks}` }
}

/** Polls readiness, as a gateway does, until the process is not ready. */
async function notReady({ url }: Service): Promise<number> {
  for (;;) {
    const { status } = await fetch(`${url}/health/ready`)
    if (status !== 200) return status
  }
}

t.test('SIGTERM under load: not ready first, every request is served, exit code 0', async (t) => {
  const { service, user, tasks } = await underLoad(t)
  const idle = new Agent({ keepAlive: true })
  await send(idle, tasks, user)

  const outcomes: Outcome[] = []
  let readiness: number | undefined
  // Clients keep the process busy until the gateway would notice that it is not ready.
  const clients = Array.from({ length: 20 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (readiness === undefined) outcomes.push(await send(agent, tasks, user))
    agent.destroy()
  })
  while (outcomes.length < 200) await delay(10)
  const begun = performance.now()
  const ending = service.stop('SIGTERM')
  const draining = notReady(service)
  const health = draining.then(async (status) => {
    // A gateway polls at intervals.
    await delay(300)
    readiness = status
  })
  // Before the signal has been handled, a connection stays open.
  const late = await draining.then(() => send(idle, tasks, user))
  await Promise.all([health, ...clients])
  t.same(await ending, { code: 0, signal: null })
  const seconds = (performance.now() - begun) / 1000

  t.equal(readiness, 503)
  t.match(late, { status: 200, connection: 'close' }, 'a request on an idle connection')
  t.same(
    outcomes.filter(({ status }) => status !== 200),
    [],
    'every request was answered',
  )
  const last = outcomes.slice(-20)
  t.same(
    last.map(({ connection }) => connection),
    last.map(() => 'close'),
    'the last responses close their connections',
  )
  t.ok(seconds < 10, `${seconds.toFixed(1)} s`)
  idle.destroy()
})

t.test('clients that never stop: no request is cut off, and the process ends', async (t) => {
  const { service, user, tasks } = await underLoad(t)
  const outcomes: Outcome[] = []
  const clients = Array.from({ length: 20 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    let last: Outcome
    do {
      last = await send(agent, tasks, user)
      outcomes.push(last)
    } while (last.error === undefined)
    agent.destroy()
  })
  while (outcomes.length < 200) await delay(10)
  // A request that is never completed.
  const slow = connect(Number(new URL(service.url).port), '127.0.0.1')
  slow.on('error', () => {})
  await once(slow, 'connect')
  slow.write('POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-')
  const begun = performance.now()
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
  const seconds = (performance.now() - begun) / 1000
  await Promise.all(clients)
  slow.destroy()

  const unanswered = outcomes.filter(({ error }) => error !== undefined)
  t.same([...new Set(unanswered.map(({ error }) => error))], ['ECONNREFUSED'], 'refused, never cut off')
  t.same([...new Set(outcomes.map(({ status }) => status))].sort(), [200, undefined])
  t.ok(seconds < 10, `${seconds.toFixed(1)} s`)
})

t.test(
  'with a database that hangs, one SIGTERM ends the process in bounded time and a second one at once',
  async (t) => {
    const network = await networkTo(t)
    const env = await production(t, { DATABASE_URL: network.url, RATE_LIMITS: 'off', LOG_LEVEL: 'error' })
    const cwd = t.testdir()
    const [patient, urgent] = await Promise.all([startService(t, env, cwd), startService(t, env, cwd)])
    const user = await signUpAt(patient.url)
    network.freezeAll()
    const pending = get(`${patient.url}${user.tasks}`, user)
    await ends(t, patient.stop('SIGTERM'), 'one SIGTERM', 12)
    const { status, headers } = await pending
    t.same([status, headers.get('retry-after')], [503, '1'])

    const unanswered = get(`${urgent.url}${user.tasks}`, user).catch(() => {})
    const ending = urgent.stop('SIGTERM')
    await notReady(urgent)
    process.kill(urgent.pid, 'SIGTERM')
    await ends(t, ending, 'two SIGTERMs', 1)
    t.match(urgent.logged(), [{ level: 50, msg: 'second SIGTERM, exiting' }])
    await unanswered
  },
)

t.test('SIGTERM during the start ends the process', async (t) => {
  const network = await networkTo(t)
  network.freezeAll()
  const env = await production(t, { DATABASE_URL: network.url })
  const cwd = t.testdir()
  const [young, waiting] = [startCommand(t, env, cwd), startCommand(t, env, cwd)]
  await delay(200)
  young.kill('SIGTERM')
  await ends(t, young.ended, 'as soon as it was started', 12)
  await network.connected()
  waiting.kill('SIGTERM')
  await ends(t, waiting.ended, 'while it waits for the database', 12)
})

t.test('SIGTERM while the start hands its signals over ends the process', async (t) => {
  // Sent in the middle of the handover, where only the next turn of the event loop can deliver it.
  const cwd = t.testdir({
    'signal.mjs': `const { off } = process
process.off = function (name, ...rest) {
  if (name === 'SIGTERM') process.kill(process.pid, name)
  return off.call(this, name, ...rest)
}`,
  })
  const env = await production(t, { NODE_OPTIONS: `--import=${cwd}/signal.mjs` })
  await ends(t, startCommand(t, env, cwd).ended, 'between two listeners', 12)
})

/** Asserts that a process exits by itself within `limit` seconds. */
async function ends(t: Test, ending: Promise<{ code: number | null }>, when: string, limit: number) {
  const begun = performance.now()
  const { code } = await ending
  const seconds = (performance.now() - begun) / 1000
  t.ok(seconds <= limit, `${when}: exit ${code} after ${seconds.toFixed(1)} s`)
}
