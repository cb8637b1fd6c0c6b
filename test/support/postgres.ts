import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { openPostgres } from '../../src/db/postgres.ts'

/** The part of a tap test that helpers use. */
export interface Test {
  teardown(fn: () => unknown): void
}

/** Creates a database on a PostgreSQL server, and drops it when the test ends. */
export async function freshDatabase(t: Test, server: string): Promise<{ url: string }> {
  const name = `latchkey_test_${randomUUID().replaceAll('-', '')}`
  const admin = openPostgres({ url: server, poolSize: 1, onIdleError: () => {}, timeouts: false })
  await sql`create database ${sql.id(name)}`.execute(admin)
  // No test kills this server, so no commit has to be on its disk.
  await sql`alter database ${sql.id(name)} set synchronous_commit = off`.execute(admin)
  t.teardown(async () => {
    await sql`drop database ${sql.id(name)} with (force)`.execute(admin)
    await admin.destroy()
  })
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href }
}
