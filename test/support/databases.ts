import { readFileSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { Kysely, type KyselyPlugin, PGliteDialect, sql } from 'kysely'
import pg from 'pg'
import tap from 'tap'
import { type Listen, listenOn } from '../../src/db/listen.ts'
import { listenEmbedded } from '../../src/db/listen-embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import type { Database, Db } from '../../src/db/schema.ts'
import { parsers } from '../../src/db/types.ts'
import { assertDistributable } from './distributable.ts'
import { freshDatabase, type Test } from './postgres.ts'
import { snapshotFile } from './snapshot.ts'

/** A migrated, empty database until the test ends. */
export async function migratedDatabase(t: Test): Promise<Db> {
  const db = await openMigrated()
  t.teardown(() => db.destroy())
  return db
}

/** A migrated, empty database until it is destroyed. */
export async function openMigrated(): Promise<Db> {
  const db = await openDatabase()
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

/** An empty database until the test ends: PGlite, or one on the server of TEST_DATABASE_URL. */
export async function testDatabase(t: Test): Promise<Db> {
  const db = await openDatabase()
  t.teardown(() => db.destroy())
  return db
}

function openDatabase(): Promise<Db> {
  const server = process.env['TEST_DATABASE_URL']
  return server ? databaseOn(server) : embeddedDatabase()
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

/** Empties a database that is in use. */
export async function emptyDatabase(db: Db): Promise<void> {
  await db.connection().execute((connection) =>
    empty(async (statements) => {
      const answers: (readonly unknown[])[] = []
      // One at a time: Kysely's statements may have parameters, and PostgreSQL takes no several of those.
      for (const statement of statements.split(';'))
        answers.push((await sql.raw(statement).execute(connection)).rows)
      return answers[0] ?? []
    }),
  )
}

async function embeddedDatabase(): Promise<Db> {
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
  return db
}

/** URLs of idle databases on the server; dropped when the process ends. */
const idleOnServer: string[] = []

async function emptyOnServer(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await empty(async (statement) => (await client.query(statement)).rows).finally(() => client.end())
}

async function databaseOn(server: string): Promise<Db> {
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
  return db
}
