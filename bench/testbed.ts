import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../src/config/load-config.ts'
import { openDatabase } from '../src/db/open.ts'
import { openPostgres } from '../src/db/postgres.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import type { Side } from './compare.ts'
import type { Workload } from './load.ts'
import { floorFile, type Server, serviceFile, startServer } from './processes.ts'
import { password, readerEmail, type Seeded, secret, seed } from './seed.ts'
import { workloadsOf } from './workloads.ts'

export const postgres = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const publicUrl = 'http://latchkey.test'

/** A seeded database with the service and the floor on it, and their workloads. */
export interface Testbed {
  readonly env: Record<string, string>
  readonly service: Server
  readonly floor: Server
  readonly workloads: ReturnType<typeof workloadsOf>
  /** Starts another process. */
  another(kind: 'service' | 'floor', env?: Record<string, string>): Promise<Server>
}

export interface TestbedOptions {
  readonly tasks?: number
  /** Owners of tasks that no request reads. */
  readonly users?: number
  readonly algorithm?: 'HS256' | 'EdDSA'
  readonly embedded?: boolean
  /** Another build's `src/server.js` in the floor's place. */
  readonly against?: string | undefined
}

/**
 * Starts both. The service as in production (log level `info`, written to /dev/null), except for limits by address
 * and the lifetime of tokens.
 */
export async function startTestbed(
  bench: Test,
  { tasks = 1_000, users = 1_000, algorithm = 'HS256', embedded = false, against }: TestbedOptions = {},
): Promise<Testbed> {
  const env: Record<string, string> = {
    NODE_ENV: embedded ? 'development' : 'production',
    HOST: '127.0.0.1',
    SECRET_KEY: secret,
    PUBLIC_URL: publicUrl,
    ALGORITHM: algorithm,
    RATE_LIMITS: 'off',
    // Many clients log in to few accounts at once, with the right password.
    RATE_LIMIT_ACCOUNT: '9999999/1m',
    RATE_LIMIT_PAIR: '9999999/1m',
    ACCESS_TOKEN_EXPIRE_MINUTES: '120',
    HASH_CONCURRENCY: '1',
    // All tasks that are created belong to one user.
    MAX_TASKS_PER_USER: '1000000',
    ...(embedded
      ? { DATA_DIR: folder(bench) }
      : { DATABASE_URL: (await freshDatabase(bench, postgres)).url }),
  }
  const seeded = await seededDatabase(env, { tasks, users })
  const floorEnv = { ...env, ...(embedded ? { DATA_DIR: copy(bench, env['DATA_DIR'] ?? '') } : {}) }
  const service = await startServer(serviceFile, env)
  const credentials = { email: readerEmail, password }
  const { token } = await call(service, '/api/auth/login', { body: credentials })
  const jwk = algorithm === 'EdDSA' ? await keyOf(service, token) : undefined
  const ofFloor = {
    ...floorEnv,
    ISSUER: publicUrl,
    PASSWORD_HASH: seeded.passwordHash,
    ...(jwk ? { JWK: JSON.stringify(jwk) } : {}),
  }
  const another: Testbed['another'] = (kind, more = {}) =>
    kind === 'service'
      ? startServer(serviceFile, { ...env, ...more })
      : startServer(against ?? floorFile, { ...ofFloor, ...more })
  const floor = await another('floor')
  const tasksPath = `/api/${seeded.reader}/tasks`
  const [{ id }] = await call(service, `${tasksPath}?limit=1`, { token })
  const paths = [`${tasksPath}?limit=20`, `${tasksPath}/${id}`, '/api/auth/me']
  await assertSameAnswers(service, floor, paths, token)
  const workloads = workloadsOf(seeded, { token, key: await newKey(service, token) }, id)
  return { env, service, floor, workloads, another }
}

/** The service and the floor, on the same workload. */
export function sidesOf({ service, floor }: Testbed, workload: Workload): [Side, Side] {
  return [
    { servers: [service], workload },
    { servers: [floor], workload },
  ]
}

/** Seeding takes longer than the service's statement timeout. */
async function seededDatabase(
  env: Record<string, string>,
  size: { tasks: number; users: number },
): Promise<Seeded> {
  const { DATABASE_URL: url } = env
  const database = await openDatabase(
    loadConfig(env, () => ''),
    () => {},
  )
  await database.migrate()
  if (!url) return seed(database.db, size).finally(() => database.db.destroy())
  await database.db.destroy()
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {}, timeouts: false })
  return seed(db, size).finally(() => db.destroy())
}

async function newKey(server: Server, token: string): Promise<string> {
  const body = { name: 'bench', scopes: ['tasks:read'], expires_in_days: 1 }
  return (await call(server, '/api/auth/keys', { token, body })).key
}

/** The public key that verifies a token. */
async function keyOf(server: Server, token: string): Promise<object> {
  const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
  const { keys } = await call(server, '/.well-known/jwks.json')
  return keys.find((key: { kid: string }) => key.kid === kid)
}

/** The floor must answer the same as the service. */
async function assertSameAnswers(one: Server, other: Server, paths: readonly string[], token: string) {
  for (const path of paths) {
    const answers = [await call(one, path, { token }), await call(other, path, { token })]
    assert.deepEqual(answers[0], answers[1], path)
  }
}

function folder(bench: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  bench.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function copy(bench: Test, from: string): string {
  const to = folder(bench)
  cpSync(join(from, 'pglite'), join(to, 'pglite'), { recursive: true })
  return to
}

async function call(server: Server, path: string, { token, body }: { token?: string; body?: object } = {}) {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}),
  })
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`)
  // biome-ignore lint/suspicious/noExplicitAny: each caller knows the answer of its own path
  return (await answer.json()) as any
}
