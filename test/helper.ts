import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import { Kysely, type KyselyPlugin, PGliteDialect, sql } from 'kysely'
import pg from 'pg'
import tap from 'tap'
import { buildApp } from '../src/app.ts'
import type { Clock } from '../src/clock.ts'
import type { Config } from '../src/config/config.ts'
import { loadConfig } from '../src/config/load-config.ts'
import { type Listen, listenOn } from '../src/db/listen.ts'
import { listenEmbedded } from '../src/db/listen-embedded.ts'
import { migrate } from '../src/db/migrate.ts'
import { openPostgres } from '../src/db/postgres.ts'
import type { Database, Db } from '../src/db/schema.ts'
import { parsers } from '../src/db/types.ts'
import type { HashCost } from '../src/passwords/hashes.ts'
import './support/compiled-schemas.ts'
import './support/conforms.ts'
import { assertDistributable } from './support/distributable.ts'
import { freshDatabase, type Test } from './support/postgres.ts'
import { snapshotFile } from './support/snapshot.ts'

export const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
export const password = 'correct horse battery'

/** Above what concurrent requests for one account need. */
const noLimits = {
  RATE_LIMITS: 'off',
  RATE_LIMIT_ACCOUNT: '9999999/1m',
  RATE_LIMIT_PAIR: '9999999/1m',
  RATE_LIMIT_KEYS: '9999999/1m',
  RATE_LIMIT_EXPORTS: '9999999/1m',
}

/** For tests that are not about hashes: a hundredth of the time. */
const cheapHash: HashCost = { memoryKiB: 1024, passes: 1 }

/** A configuration; limits by address are off, since a test's requests come from one address. */
export function testConfig(env: Record<string, string> = {}, cost: HashCost = cheapHash): Config {
  const defaults = {
    NODE_ENV: 'test',
    LOG_LEVEL: 'silent',
    ...(env['RATE_LIMITS'] === 'on' ? {} : noLimits),
    PUBLIC_URL: 'http://latchkey.test',
    SECRET_KEY: secret,
    HASH_QUEUE: '1000',
    // Other tests on the machine delay the event loop.
    MAX_EVENT_LOOP_DELAY_MS: '0',
  }
  const config = loadConfig({ ...defaults, ...env }, () => secret)
  return { ...config, hashing: { ...config.hashing, cost } }
}

export async function migratedDatabase(t: Test): Promise<Db> {
  const db = await testDatabase(t)
  // The embedded database is a copy of a migrated one.
  if (process.env['TEST_DATABASE_URL']) await migrate(db)
  if (process.env['TEST_LAYOUT'] === 'partitions') await partition(db)
  return db
}

/** Divides tasks as docs/scale.md says, once. */
async function partition(db: Db): Promise<void> {
  const plain = sql`select from pg_class where oid = 'tasks'::regclass and relkind = 'r'`
  if ((await plain.execute(db)).rows.length === 0) return
  await sql.raw(readFileSync('deploy/scale/partitions.sql', 'utf8')).execute(db)
}

/** A database that closing an app does not close. */
export function keptOpen(db: Db): Db {
  return destroyedBy(db, async () => {})
}

function destroyedBy(db: Db, destroy: () => Promise<void>): Db {
  return new Proxy(db, {
    get(target, name) {
      if (name === 'destroy') return destroy
      if (name === 'withPlugin')
        return (plugin: KyselyPlugin) => destroyedBy(target.withPlugin(plugin), destroy)
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** An empty database: PGlite, or one on the server of TEST_DATABASE_URL. */
export async function testDatabase(t: Test): Promise<Db> {
  const server = process.env['TEST_DATABASE_URL']
  return server ? databaseOn(server, t) : embeddedDatabase(t)
}

/** How an app hears of events in a database that {@link testDatabase} made. */
export const listens = new WeakMap<Db, Listen>()

/** Idle databases for the next test of the file: loading one takes longer than a test. */
const idle: PGlite[] = []
tap.teardown(() => Promise.all(idle.map((pglite) => pglite.close())))

type Run = (statement: string) => Promise<readonly unknown[]>

/** Not by truncate, which creates about 100 files; without triggers, since their rows are deleted as well. */
const deletion = (tables: readonly string[]) =>
  [
    'set session_replication_role = replica',
    ...tables.map((table) => `delete from ${table}`),
    "select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) from pg_sequences",
    'set session_replication_role = default',
  ].join(';')

/** Deletes all rows but those of the migrations. A test restores what it changes in the schema. */
async function empty(run: Run): Promise<void> {
  const rows = await run(
    `select format('%I', tablename) as name from pg_tables
     where schemaname = current_schema() and tablename not like '%\\_migration%'`,
  )
  const tables = (rows as { name: string }[]).map(({ name }) => name)
  await run(deletion(tables)).catch(async (error) => {
    const isForbidden = (error as { code?: string }).code === insufficientPrivilege
    if (!isForbidden) throw error
    // Only a superuser may keep triggers from running.
    await run(`truncate ${tables.join(', ')} restart identity cascade`)
  })
}

const insufficientPrivilege = '42501'

async function embeddedDatabase(t: Test): Promise<Db> {
  const used = idle.pop()
  if (used) await empty(async (statement) => (await used.exec(statement))[0]?.rows ?? [])
  const pglite =
    used ?? (await PGlite.create({ loadDataDir: new Blob([readFileSync(snapshotFile)]), parsers }))
  let open = true
  const kysely = new Kysely<Database>({
    dialect: new PGliteDialect({ pglite }),
    log: ({ query }) => assertDistributable(query.sql),
  })
  const db = destroyedBy(kysely, async () => {
    if (open) idle.push(pglite)
    open = false
  })
  listens.set(db, listenEmbedded(pglite))
  t.teardown(() => db.destroy())
  return db
}

/** URLs of idle databases on the server; dropped when the process ends. */
const idleOnServer: string[] = []

async function emptyOnServer(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await empty(async (statement) => (await client.query(statement)).rows).finally(() => client.end())
}

async function databaseOn(server: string, t: Test): Promise<Db> {
  const used = idleOnServer.pop()
  const url = used ?? (await freshDatabase(tap, server)).url
  if (used) await emptyOnServer(used)
  const pool = openPostgres({ url, poolSize: 5, onIdleError: () => {} })
  let open = true
  const db = destroyedBy(pool, async () => {
    if (!open) return
    open = false
    await pool.destroy()
    idleOnServer.push(url)
  })
  listens.set(db, listenOn(url))
  t.teardown(() => db.destroy())
  return db
}

export interface AppOptions {
  readonly env?: Record<string, string>
  readonly clock?: Clock
  /** Instead of a new database. */
  readonly db?: Db
  /** Instead of that of `db`; undefined: events are polled. */
  readonly listenToEvents?: Listen | undefined
  /** Cost of password hashes; cheap by default. */
  readonly hashCost?: HashCost
  /** Called with each log line. */
  readonly log?: (line: string) => void
  /** Adds routes before the app is ready. */
  readonly extend?: (app: FastifyInstance) => void | Promise<void>
}

/** The service on a new database, closed when the test ends. */
export async function testApp(t: Test, options: AppOptions = {}): Promise<FastifyInstance> {
  const { env, hashCost, clock, log, extend, db = await migratedDatabase(t) } = options
  const { listenToEvents = listens.get(db) } = options
  const app = await buildApp(testConfig(env, hashCost), {
    db,
    listenToEvents,
    ...(clock ? { clock } : {}),
    ...(log ? { logStream: { write: log } } : {}),
  })
  t.teardown(() => app.close())
  await extend?.(app)
  await app.ready()
  return app
}

type Request = Omit<InjectOptions, 'url' | 'method'>

/** A user with a session. */
export interface TestUser {
  readonly id: string
  readonly email: string
  readonly token: string
  readonly refreshToken: string
  /** Path of the user's tasks. */
  readonly tasks: string
  call(method: string, url: string, body?: unknown, request?: Request): Promise<LightMyRequestResponse>
}

/** Signs up a new user. */
export async function signUp(app: FastifyInstance, name: string): Promise<TestUser> {
  const email = `${name}.${randomUUID()}@example.com`
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/signup',
    payload: { email, password, name },
  })
  if (answer.statusCode !== 201) throw new Error(`signup answered ${answer.statusCode}: ${answer.body}`)
  const { token, user, refresh_token } = answer.json()
  return {
    id: user.id,
    email,
    token,
    refreshToken: refresh_token,
    tasks: `/api/${user.id}/tasks`,
    call: (method, url, body, { headers, ...request } = {}) =>
      app.inject({
        method: method as 'GET',
        url,
        ...(body === undefined ? {} : { payload: body as object }),
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...request,
      }),
  }
}

/** An app and two users: that one is allowed is half of a test. */
export async function twoUsers(t: Test, options: AppOptions = {}) {
  const app = await testApp(t, options)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  return { app, alice, bob }
}

/** Names of a user's security events, oldest first, without account_created. */
export async function eventsOf(app: FastifyInstance, { id }: { readonly id: string }): Promise<string[]> {
  await app.securityEvents.flush()
  const rows = await app.db
    .selectFrom('security_events')
    .select('event')
    .where('user_id', '=', id)
    .where('event', '!=', 'account_created')
    .orderBy('id')
    .execute()
  return rows.map(({ event }) => event)
}

/** A problem response without its request id. */
export function problemOf(answer: LightMyRequestResponse) {
  const { request_id: _, ...body } = answer.json()
  return { media: answer.headers['content-type'], ...body }
}

/** The body for any missing or invalid token. */
export const unauthorized = {
  media: 'application/problem+json; charset=utf-8',
  type: 'about:blank',
  title: 'Unauthorized',
  status: 401,
  detail: 'Could not validate credentials',
  code: 'unauthorized',
}

/** Every method and URL pattern of the router. */
export function registeredRoutes(app: FastifyInstance): { method: string; url: string }[] {
  const path: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', segment = '', methods] = /^(.*?)[├└]── (\S+) \(([A-Z, -]+)\)$/.exec(line) ?? []
      if (methods === undefined) return []
      path.splice(indent.length / 4, Number.POSITIVE_INFINITY, segment)
      return methods.split(', ').map((method) => ({ method, url: path.join('') }))
    })
}
