import { sql } from 'kysely'
import { openPostgres } from '../src/db/postgres.ts'
import type { Db } from '../src/db/schema.ts'
import { signUp, startInstance } from './distributed/instances.ts'
import { steps } from './distributed/steps.ts'

/** Why the database is none that the check is for. @returns undefined if it is */
async function refusalOf(db: Db): Promise<string | undefined> {
  const { rows } = await sql<{ citus: boolean; tasks: boolean }>`
    select exists (select from pg_extension where extname = 'citus') as citus,
      to_regclass('tasks') is not null as tasks`.execute(db)
  if (!rows[0]?.citus) return 'a plain PostgreSQL: there is no extension citus, and nothing to check'
  if (!rows[0].tasks) return 'it has no table tasks: run `npm run migrate` and deploy/scale/citus.sql first'
  const { rows: distributed } = await sql<{ table: string }>`
    select table_name::text as table from citus_tables where citus_table_type = 'distributed'`.execute(db)
  const names = new Set(distributed.map(({ table }) => table))
  const missing = ['tasks', 'idempotency_keys'].filter((table) => !names.has(table))
  return missing.length > 0
    ? `${missing.join(' and ')} not distributed: run deploy/scale/citus.sql first`
    : undefined
}

/** @returns the number of steps that failed */
async function check(url: string): Promise<number> {
  const [one, two] = await Promise.all([startInstance(url), startInstance(url)])
  let failed = 0
  try {
    const ground = { one, two, alice: await signUp(one), bob: await signUp(two) }
    for (const [name, step] of Object.entries(steps)) {
      const error = await step(ground).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      process.stdout.write(`${error === undefined ? 'ok' : 'FAILED'}  ${name}\n`)
      if (error === undefined) continue
      failed += 1
      process.stdout.write(`        ${String((error as Error).message ?? error)}\n`)
    }
    process.stdout.write(`${Object.keys(steps).length - failed} passed, ${failed} failed\n`)
  } finally {
    await sql`delete from users where email like '%@check-distributed.invalid'`
      .execute(one.db)
      .catch(() => {})
    await Promise.all([one.close(), two.close()])
  }
  return failed
}

const [url] = process.argv.slice(2)
if (!url) {
  process.stderr.write('usage: npm run check:distributed -- <url of the coordinator>\n')
  process.exit(2)
}
const db = openPostgres({ url, poolSize: 1, onIdleError: () => {} })
try {
  const refusal = await refusalOf(db)
  if (refusal) {
    process.stderr.write(`check:distributed: ${refusal}\n`)
    process.exitCode = 2
  } else process.exitCode = (await check(url)) > 0 ? 1 : 0
} catch (error) {
  process.stderr.write(`check:distributed: ${(error as Error).message}\n`)
  process.exitCode = 2
} finally {
  await db.destroy()
}
