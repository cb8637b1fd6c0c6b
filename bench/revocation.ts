/**
 * How long a token lives on another instance after its session has ended, and what revocations cost in memory.
 * Needs PostgreSQL: `BENCH_DATABASE_URL=postgres://... npm run bench:revocation`, a role that may create databases.
 */
import { Agent, request } from 'node:http'
import { Revocations } from '../src/sessions/revocations.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import { serviceFile, startServer, stopAll } from './processes.ts'

const rounds = 200
const server = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const agent = new Agent({ keepAlive: true })

const cleanUps: (() => unknown)[] = []
const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }

interface Call {
  readonly method?: string
  readonly token?: string
  readonly body?: object
}

function call(
  url: string,
  { method = 'GET', token, body }: Call = {},
): Promise<{ status: number; text: string }> {
  const headers = {
    ...(token ? { authorization: `Bearer ${token}` } : {}),
    ...(body ? { 'content-type': 'application/json' } : {}),
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end(body ? JSON.stringify(body) : undefined)
  })
}

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(2)
}

async function latency(): Promise<void> {
  const { url } = await freshDatabase(bench, server)
  const env = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    DATABASE_URL: url,
    SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
    PUBLIC_URL: 'http://latchkey.test',
    RATE_LIMITS: 'off',
  }
  const start = async () => ({ url: `http://127.0.0.1:${(await startServer(serviceFile, env)).port}` })
  const [one, two] = [await start(), await start()]
  const credentials = { email: 'bench@example.com', password: 'correct horse battery' }
  await call(`${one.url}/api/auth/signup`, { method: 'POST', body: { ...credentials, name: 'Bench' } })

  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const { token } = JSON.parse(
      (await call(`${one.url}/api/auth/login`, { method: 'POST', body: credentials })).text,
    )
    const before = await call(`${two.url}/api/auth/me`, { token })
    if (before.status !== 200)
      throw new Error(`the other instance answered ${before.status} before the logout`)
    const ended = await call(`${one.url}/api/auth/logout`, { method: 'POST', token })
    if (ended.status !== 204) throw new Error(`logout answered ${ended.status}`)
    const begun = performance.now()
    while ((await call(`${two.url}/api/auth/me`, { token })).status !== 401);
    samples.push(performance.now() - begun)
  }
  samples.sort((a, b) => a - b)
  console.log(`from the 204 to the first 401 on the other instance, ${rounds} rounds, in ms:`)
  console.log(`  p50 ${quantile(samples, 0.5)}  p99 ${quantile(samples, 0.99)}  most ${quantile(samples, 1)}`)
  console.log('  (a request to the other instance is part of each)')
}

function memory(): void {
  const count = 100_000
  const revocations = new Revocations(() => 0)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let at = 0; at < count; at++) {
    const id = `session_${at.toString(36).padStart(26, '0')}`
    // A new string, as read from the database.
    revocations.apply([{ session: Buffer.from(id).toString('latin1'), endsAt: 1_800_000_000 }])
  }
  globalThis.gc?.()
  const mib = (process.memoryUsage().heapUsed - before) / 2 ** 20
  console.log(`${count} live revocations: ${mib.toFixed(1)} MiB of heap`)
  if (revocations.size !== count) throw new Error('revocations are missing')
}

try {
  memory()
  await latency()
} finally {
  await stopAll()
  for (const cleanUp of cleanUps) await cleanUp()
  agent.destroy()
}
