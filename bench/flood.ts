/**
 * The effect of a login flood on other users: one user reads a list of 20 tasks repeatedly, while 300 clients log in
 * concurrently, again after each response, or after Retry-After for a 503.
 * Needs PostgreSQL: `BENCH_DATABASE_URL=postgres://... npm run bench:flood [HASH_QUEUE...]`, a role that may create
 * databases.
 */
import { once, setMaxListeners } from 'node:events'
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import { serviceFile, startServer, stopAll } from './processes.ts'

const clients = 300
/** Short and alternating, so that noise of the machine affects both alike. */
const rounds = 15
const secondsEach = 2
const password = 'correct horse battery'

/** Several, since logins of one account wait for each other; not the reader, whose session they would end. */
const flooders = Array.from({ length: 20 }, (_, at) => ({ email: `flooder${at}@example.com`, password }))

interface Call {
  readonly method?: string
  readonly token?: string
  readonly body?: object
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly retryAfter: number
  readonly ms: number
}

function call(agent: Agent, url: string, { method = 'GET', token, body }: Call = {}): Promise<Answer> {
  const headers = {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(body ? { 'content-type': 'application/json' } : {}),
  }
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => (text += part))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          text,
          retryAfter: Number(response.headers['retry-after'] ?? 0),
          ms: performance.now() - start,
        }),
      )
    })
    sent.on('error', reject)
    sent.end(body ? JSON.stringify(body) : undefined)
  })
}

interface Flood {
  readonly statuses: Record<number, number>
  /** Milliseconds until each 503. */
  readonly refusals: number[]
}

/** One flood, in its own thread, so that it delays the measuring client as little as possible. */
async function flood(url: string): Promise<Flood> {
  const agent = new Agent({ keepAlive: true })
  const statuses: Record<number, number> = {}
  const refusals: number[] = []
  const stop = new AbortController()
  setMaxListeners(clients, stop.signal)
  parentPort?.once('message', () => stop.abort())
  const client = async (credentials: object) => {
    while (!stop.signal.aborted) {
      const login = { method: 'POST', body: credentials }
      const { status, ms, retryAfter } = await call(agent, `${url}/api/auth/login`, login)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status === 503) refusals.push(ms)
      await pause(retryAfter * 1000, undefined, { signal: stop.signal }).catch(() => {})
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, at) => client(flooders[at % flooders.length] ?? {})))
  agent.destroy()
  return { statuses, refusals }
}

function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** Reads the list every 5 ms. @returns milliseconds of each */
async function readFor(seconds: number, agent: Agent, url: string, token: string): Promise<number[]> {
  const samples: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const { status, ms } = await call(agent, url, { token })
    if (status !== 200) throw new Error(`the list was answered with ${status}`)
    samples.push(ms)
    await pause(5)
  }
  return samples
}

async function measure(queue: string): Promise<void> {
  const cleanUps: (() => unknown)[] = []
  const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }
  const agent = new Agent({ keepAlive: true })
  try {
    const postgres = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
    const { url: database } = await freshDatabase(bench, postgres)
    const env = {
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      DATABASE_URL: database,
      SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
      PUBLIC_URL: 'http://latchkey.test',
      RATE_LIMITS: 'off',
      // Many clients log in to few accounts at once, with the right password.
      RATE_LIMIT_ACCOUNT: '9999999/1m',
      RATE_LIMIT_PAIR: '9999999/1m',
      HASH_QUEUE: queue,
    }
    const server = await startServer(serviceFile, env)
    const url = `http://127.0.0.1:${server.port}`
    const signUp = (email: string) =>
      call(agent, `${url}/api/auth/signup`, { method: 'POST', body: { email, password, name: 'Bench' } })
    for (const { email } of flooders) await signUp(email)
    const signup = await signUp('reader@example.com')
    const { token, user } = JSON.parse(signup.text)
    const tasks = `${url}/api/${user.id}/tasks`
    for (let at = 0; at < 20; at++)
      await call(agent, tasks, { method: 'POST', token, body: { title: `task ${at}` } })
    await readFor(2, agent, tasks, token)

    const idle: number[] = []
    const flooded: number[] = []
    const statuses: Record<number, number> = {}
    const refusals: number[] = []
    const before = server.rss()
    let peak = before
    for (let round = 0; round < rounds; round++) {
      idle.push(...(await readFor(secondsEach, agent, tasks, token)))
      const worker = new Worker(new URL(import.meta.url), { workerData: url })
      const ended = new Promise<Flood>((resolve, reject) => {
        worker.on('message', resolve).on('error', reject)
      })
      // Measured from the first burst of all 300.
      await once(worker, 'online')
      flooded.push(...(await readFor(secondsEach, agent, tasks, token)))
      peak = Math.max(peak, server.rss())
      worker.postMessage('stop')
      const result = await ended
      for (const [status, count] of Object.entries(result.statuses))
        statuses[Number(status)] = (statuses[Number(status)] ?? 0) + count
      refusals.push(...result.refusals)
    }
    const at = (samples: number[], share: number) => quantile(samples, share).toFixed(1)
    const show = (samples: number[]) => `p50 ${at(samples, 0.5)}  p99 ${at(samples, 0.99)}`
    console.log(`HASH_QUEUE=${queue}, ${rounds} rounds of ${secondsEach} s each, in ms:`)
    console.log(`  list, idle      ${show(idle)}  (${idle.length} times)`)
    console.log(`  list, in flood  ${show(flooded)}  (${flooded.length} times)`)
    console.log(`  p99 in flood / idle: ${(quantile(flooded, 0.99) / quantile(idle, 0.99)).toFixed(2)}`)
    console.log(`  logins: ${JSON.stringify(statuses)}; a 503 after ${show(refusals)}`)
    console.log(`  resident: ${before.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB at the peak`)
  } finally {
    await stopAll()
    for (const cleanUp of cleanUps) await cleanUp()
    agent.destroy()
  }
}

if (isMainThread) {
  const queues = process.argv.slice(2)
  for (const queue of queues.length > 0 ? queues : ['10']) await measure(queue)
} else {
  parentPort?.postMessage(await flood(workerData as string))
}
