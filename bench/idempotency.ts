/**
 * The cost of an `Idempotency-Key` on a new task, with new and with repeated keys, as a ratio to no key. The cases
 * alternate on one service; a second case without a key shows the noise of the machine.
 * Needs PostgreSQL: `BENCH_DATABASE_URL=postgres://... npm run bench:idempotency`, a role that may create databases.
 */
import { randomUUID } from 'node:crypto'
import { openDatabase } from '../src/db/open.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import { alternate, type Sample, spread } from './compare.ts'
import { requestText, type Workload } from './load.ts'
import { serviceFile, startServer, stopAll } from './processes.ts'

const server = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const pace = { rounds: 15, milliseconds: 2_000 }
const connections = 8

const cleanUps: (() => unknown)[] = []
const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }

async function startedService() {
  const { url } = await freshDatabase(bench, server)
  const { db, migrate } = await openDatabase(
    { database: { kind: 'postgres', url, poolSize: 1, prepare: true } },
    () => {},
  )
  await migrate()
  await db.destroy()
  return startServer(serviceFile, {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    DATABASE_URL: url,
    SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
    PUBLIC_URL: 'http://latchkey.test',
    RATE_LIMITS: 'off',
    MAX_EVENT_LOOP_DELAY_MS: '0',
  })
}

function creating(path: string, token: string, key?: () => string): Workload {
  const text = requestText('POST', path, {
    token,
    body: { title: 'Buy milk', description: 'Two litres' },
  }).toString()
  const request = () => (key ? text.replace('\r\n', `\r\nIdempotency-Key: "${key()}"\r\n`) : text)
  return { status: 201, request: () => Buffer.from(request()) }
}

function report(what: string, samples: readonly Sample[], plain: readonly Sample[]): void {
  const ratio = (figure: 'rate' | 'cpu') => {
    const { median, low, high } = spread(
      samples.map((sample, at) => sample[figure] / (plain[at]?.[figure] ?? Number.NaN)),
    )
    return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`
  }
  console.log(`${what.padEnd(26)} requests a second ${ratio('rate')}  CPU a request ${ratio('cpu')}`)
}

try {
  const service = await startedService()
  const signup = await fetch(`http://127.0.0.1:${service.port}/api/auth/signup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'bench@example.com', password: 'correct horse battery', name: 'Bench' }),
  })
  const { token, user } = (await signup.json()) as { token: string; user: { id: string } }
  const path = `/api/${user.id}/tasks`
  const known = Array.from({ length: 1_000 }, () => randomUUID())
  let next = 0
  const workloads = [
    creating(path, token),
    creating(path, token),
    creating(path, token, randomUUID),
    // No two requests with one key are concurrent.
    creating(path, token, () => known[next++ % known.length] as string),
  ]
  const sides = workloads.map((workload) => ({ servers: [service], workload }))
  const [plain = [], control = [], fresh = [], repeated = []] = await alternate(sides, connections, pace)
  console.log(
    `new tasks on PostgreSQL, ${connections} connections, ${pace.rounds} rounds of ${pace.milliseconds} ms;`,
  )
  console.log(`without a key ${spread(plain.map(({ rate }) => rate)).median.toFixed(0)} a second; of that:`)
  report('without a key, again', control, plain)
  report('with a new key', fresh, plain)
  report('with a known key', repeated, plain)
} finally {
  await stopAll()
  for (const cleanUp of cleanUps) await cleanUp()
}
