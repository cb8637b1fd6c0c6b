/**
 * Timing attack: whether response times reveal that an account exists, at login (also when its limit is reached), at
 * signup with verification, and at forgot. Needs PostgreSQL and an otherwise idle machine:
 * `BENCH_DATABASE_URL=postgres://... npm run bench:timing -- [samples of each class, 5000] [connections, 1]`
 *
 * Each sample is a new address on a keep-alive connection, from the last byte written to the first byte read, in a
 * seeded random order. An area under the curve of 0.5 is no difference. Two controls validate the method: 2 ms of
 * delay for unknown accounts must be detected, and two halves of one class must not differ.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { sql } from 'kysely'
import { typeid } from 'typeid-js'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/config.ts'
import { openDatabase } from '../src/db/open.ts'
import { newSalt, refreshKeys, refreshToken } from '../src/sessions/refresh-token.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import { areaUnderCurve, ascending, bootstrapInterval, quantile, randomFrom, shuffled } from './statistics.ts'

const server = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const samples = Number(process.argv[2] ?? 5_000)
const connections = Number(process.argv[3] ?? 1)
const warmUp = 200
const seed = 20_260_101
const password = 'correct horse battery'

const cleanUps: (() => unknown)[] = []
const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }

interface Sample {
  readonly known: boolean
  readonly body: object
}

async function startService(env: Record<string, string>, delayUnknown = 0) {
  const { url } = await freshDatabase(bench, server)
  const config = loadConfig(
    {
      NODE_ENV: 'production',
      DATABASE_URL: url,
      SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
      PUBLIC_URL: 'http://latchkey.test',
      APP_URL: 'http://app.test',
      RATE_LIMITS: 'off',
      LOG_LEVEL: 'silent',
      PASSWORD_BLOCKLIST: 'off',
      ...env,
    },
    () => '',
  )
  const database = await openDatabase(config, () => {})
  await database.migrate()
  const app = await buildApp(config, database)
  if (delayUnknown > 0) {
    const verify = app.passwords.verify.bind(app.passwords)
    app.passwords.verify = async (hash, given) => {
      if (!hash) await new Promise((resolve) => setTimeout(resolve, delayUnknown))
      return verify(hash, given)
    }
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  cleanUps.unshift(() => app.close())
  const { port } = app.server.address() as { port: number }
  return { app, port }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Nanoseconds from the last byte written to the first byte read. */
async function timed(socket: Socket, path: string, body: object, expected: RegExp): Promise<number> {
  const text = JSON.stringify(body)
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n`
  return new Promise((resolve, reject) => {
    let first = 0n
    let received = ''
    const begun = process.hrtime.bigint()
    const read = (chunk: Buffer) => {
      first ||= process.hrtime.bigint()
      received += chunk.toString('latin1')
      const end = received.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (end < 0 || received.length < end + 4 + length) return
      socket.off('data', read)
      if (!expected.test(received)) reject(new Error(received.slice(0, 40)))
      else resolve(Number(first - begun))
    }
    socket.on('data', read)
    socket.write(head + text)
  })
}

const answered = /^HTTP\/1.1 (2\d\d|401)/

async function measure(port: number, path: string, row: readonly Sample[], expected = answered) {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const times = { known: [] as number[], unknown: [] as number[] }
  let next = 0
  await Promise.all(
    sockets.map(async (socket) => {
      for (let at = next++; at < row.length; at = next++) {
        const { known, body } = row[at] as Sample
        const time = await timed(socket, path, body, expected)
        if (at >= warmUp) times[known ? 'known' : 'unknown'].push(time)
      }
      socket.destroy()
    }),
  )
  return times
}

function report(label: string, a: readonly number[], b: readonly number[]): number {
  const area = areaUnderCurve(a, b)
  const [low, high] = bootstrapInterval(a, b, randomFrom(seed + 1))
  const spread = (numbers: readonly number[]) => {
    const sorted = ascending(numbers)
    return [0.05, 0.5, 0.95].map((share) => (quantile(sorted, share) / 1e6).toFixed(2)).join(' / ')
  }
  console.log(
    `${label.padEnd(34)} AUC ${area.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})  ` +
      `known ${spread(a)} ms  unknown ${spread(b)} ms  (5 % / median / 95 %)`,
  )
  return area
}

/** Both classes in random order, each address once. */
function mixed(body: (email: string) => object): { row: Sample[]; known: string[] } {
  const addresses = (kind: string) =>
    Array.from({ length: samples + warmUp / 2 }, (_, at) => `${kind}${at}@example.com`)
  const known = addresses('known')
  const row = [
    ...known.map((email) => ({ known: true, body: body(email) })),
    ...addresses('unknown').map((email) => ({ known: false, body: body(email) })),
  ]
  return { row: shuffled(row, randomFrom(seed)), known }
}

type Service = Awaited<ReturnType<typeof startService>>

/** All accounts share one hash, to save time. */
async function addAccounts({ app }: Service, emails: readonly string[]): Promise<void> {
  const hash = await app.passwords.hash(password)
  for (let at = 0; at < emails.length; at += 500) {
    const rows = emails.slice(at, at + 500).map((email, index) => ({
      id: `bench-${at + index}`,
      email,
      name: 'Bench',
      email_verified: true,
      password_hash: hash,
    }))
    await app.db.insertInto('users').values(rows).execute()
  }
}

async function compare(
  label: string,
  path: string,
  body: (email: string) => object,
  env = {},
  delayUnknown = 0,
) {
  const service = await startService(env, delayUnknown)
  const { row, known } = mixed(body)
  await addAccounts(service, known)
  const times = await measure(service.port, path, row)
  return { area: report(label, times.known, times.unknown), ...times }
}

/** Accounts whose limit is reached; refused logins are not counted. */
const refusedAccounts = 40

/**
 * Logins refused by the account's limit: no hash masks the time of the lookups.
 * @param prepare what the known accounts have besides a password
 */
async function compareRefusals(
  label: string,
  {
    body = wrong,
    prepare,
  }: { body?: (email: string) => object; prepare?: (service: Service) => Promise<void> },
) {
  const path = '/api/auth/login'
  const service = await startService({
    RATE_LIMITS: 'on',
    RATE_LIMIT_LOGIN: '9999999/1m',
    RATE_LIMIT_ACCOUNT: '1/12h',
  })
  const emails = (kind: string) =>
    Array.from({ length: refusedAccounts }, (_, at) => `${kind}${at}@example.com`)
  await addAccounts(service, emails('known'))
  await prepare?.(service)
  const all = [
    ...emails('known').map((email) => ({ known: true, body: body(email) })),
    ...emails('unknown').map((email) => ({ known: false, body: body(email) })),
  ]
  const socket = await open(service.port)
  for (const { body } of all) await timed(socket, path, body, answered)
  socket.destroy()
  const row = Array.from({ length: 2 * samples + warmUp }, (_, at) => all[at % all.length] as Sample)
  const times = await measure(service.port, path, shuffled(row, randomFrom(seed)), /^HTTP\/1.1 429/)
  report(label, times.known, times.unknown)
}

/** The rows of long-time users. */
async function addHistory({ app }: Service): Promise<void> {
  const { db } = app
  await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
    select id || ' ' || n, id, 'x', '', '', now() + interval '1 day', now() + interval '1 day'
    from users, generate_series(1, 40) n`.execute(db)
  await sql`delete from sessions where random() < 0.5`.execute(db)
  await sql`insert into security_events (event, user_id, session_id, ip)
    select 'session_ended', id, 'x', '192.0.2.1' from users, generate_series(1, 1000) n`.execute(db)
  await sql`analyze`.execute(db)
}

const wrong = (email: string) => ({ email, password: 'not the password' })
const mail = { SMTP_URL: 'smtp://127.0.0.1:9', MAIL_FROM: 'Latchkey <no-reply@example.com>' }

try {
  console.log(`${samples} samples of each class, ${connections} connection(s), seed ${seed}`)
  const login = await compare('login, wrong password', '/api/auth/login', wrong)
  const half = Math.floor(login.known.length / 2)
  report('negative control: one class halved', login.known.slice(0, half), login.known.slice(half))
  await compare('positive control: 2 ms for unknown', '/api/auth/login', wrong, {}, 2)
  await compareRefusals('login, limit reached', {})
  await compareRefusals('login, limit reached, long history', { prepare: addHistory })
  const keys = refreshKeys('q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u', undefined)
  const token = refreshToken(keys, { sessionId: typeid('session').toString(), generation: 0 }, newSalt())
  await compareRefusals('login, limit reached, with a token', {
    prepare: addHistory,
    body: (email) => ({ ...wrong(email), refresh_token: token }),
  })
  await compare(
    'signup with verification',
    '/api/auth/signup',
    (email) => ({ email, password, name: 'Bench' }),
    { ...mail, REQUIRE_EMAIL_VERIFICATION: 'true' },
  )
  await compare('forgot', '/api/auth/password/forgot', (email) => ({ email }), mail)
} finally {
  for (const cleanUp of cleanUps) await cleanUp()
}
