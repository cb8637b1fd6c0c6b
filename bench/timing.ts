/**
 * Timing attack: whether response times reveal that an account exists, at login (also when its limit is reached), at
 * signup with verification, and at forgot. Needs PostgreSQL and an otherwise idle machine:
 * `BENCH_DATABASE_URL=postgres://... npm run bench:timing -- [samples of each class, 5000] [connections, 1]`
 *
 * Each sample is a new address on a keep-alive connection, from the last byte written to the first byte read, in a
 * seeded random order. An area under the curve of 0.5 is no difference. Two controls validate the method: 2 ms of
 * delay for unknown accounts must be detected, and two halves of one class must not differ.
 */
import { typeid } from 'typeid-js'
import { newSalt, refreshKeys, refreshToken } from '../src/sessions/refresh-token.ts'
import { areaUnderCurve, ascending, bootstrapInterval, quantile, randomFrom, shuffled } from './statistics.ts'
import { answered, measure, open, type Sample, timed } from './timed-answers.ts'
import { addAccounts, addHistory, cleanUp, password, type Service, startService } from './timing-service.ts'

const samples = Number(process.argv[2] ?? 5_000)
const connections = Number(process.argv[3] ?? 1)
const warmUp = 200
const seed = 20_260_101

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
  const times = await measure(row, { port: service.port, path, connections, warmUp })
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
  const times = await measure(shuffled(row, randomFrom(seed)), {
    port: service.port,
    path,
    expected: /^HTTP\/1.1 429/,
    connections,
    warmUp,
  })
  report(label, times.known, times.unknown)
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
  await cleanUp()
}
