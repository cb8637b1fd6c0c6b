import {
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  sql,
} from 'kysely'
import type { Database, Db, Trx } from '../../src/db/schema.ts'

/** A call of a repository function. */
export type Call = (db: Trx) => unknown

const role = 'latchkey_wall'

/** Tables whose rows have an owner, and the column that names it; null where some rows have none. */
export async function ownedTables(db: Db): Promise<{ table: string; column: string; isNullable: boolean }[]> {
  const { rows } = await sql<{ table: string; isNullable: boolean }>`
    select table_name as table, is_nullable = 'YES' as "isNullable" from information_schema.columns
    where table_schema = current_schema() and column_name = 'user_id' order by table_name`.execute(db)
  return [
    { table: 'users', column: 'id', isNullable: false },
    ...rows.map((row) => ({ ...row, column: 'user_id' })),
  ]
}

/**
 * Makes a role that sees rows of one owner only: row-level security on every table that has owners. A role outlives a
 * transaction that is not rolled back.
 */
export async function buildWall(trx: Trx): Promise<void> {
  await sql`create role ${sql.id(role)} nologin`.execute(trx)
  const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(trx)
  const schema = sql.id(rows[0]?.schema as string)
  await sql`grant usage on schema ${schema} to ${sql.id(role)}`.execute(trx)
  await sql`grant all on all tables in schema ${schema} to ${sql.id(role)}`.execute(trx)
  await sql`grant all on all sequences in schema ${schema} to ${sql.id(role)}`.execute(trx)
  for (const { table, column, isNullable } of await ownedTables(trx)) {
    const own = sql`${sql.ref(column)} = current_setting('latchkey.owner', true)`
    const seen = isNullable ? sql`${sql.ref(column)} is null or ${own}` : own
    await sql`alter table ${sql.table(table)} enable row level security`.execute(trx)
    await sql`create policy wall on ${sql.table(table)} using (${seen}) with check (${seen})`.execute(trx)
  }
}

/** A statement, and what it did. */
interface Step {
  readonly sql: string
  readonly affected: number
  /** Without those of an insert, whose generated values differ each time. */
  readonly rows: unknown
}

/**
 * What is wrong with the statements of a call: what they do to the rows of all must be what they do behind the wall.
 * There a statement without the owner among its parameters sees no row, and any other only the owner's.
 */
export async function faultsOf(trx: Trx, owner: string, call: Call): Promise<string[]> {
  const open = await traceOf(trx, call, undefined)
  const walled = await traceOf(trx, call, owner)
  const faults = open.steps.flatMap((step, at) => {
    const behind = walled.steps[at]
    if (JSON.stringify(behind) === JSON.stringify(step)) return []
    const { affected, rows } = behind ?? {}
    return [
      `${step.sql}\n  ${step.affected} rows ${JSON.stringify(step.rows)}\n  ${affected} behind the wall ${JSON.stringify(rows)}`,
    ]
  })
  if (open.error !== walled.error) faults.push(`${open.error}, behind the wall ${walled.error}`)
  return faults
}

/** Whether a statement of the call finds or changes a row. */
export async function findsRows(trx: Trx, call: Call): Promise<boolean> {
  const { steps } = await traceOf(trx, call, undefined)
  return steps.some(({ affected }) => affected > 0)
}

function isGenerator(value: unknown): value is AsyncGenerator {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** Runs a call, and undoes it. @param owner whose rows the role sees; undefined: without the wall */
async function traceOf(trx: Trx, call: Call, owner: string | undefined) {
  const steps: Step[] = []
  let error: string | undefined
  await sql`savepoint call`.execute(trx)
  if (owner !== undefined) await sql`set local role ${sql.id(role)}`.execute(trx)
  try {
    const result = await call(traced(trx, owner, steps))
    if (isGenerator(result)) while (!(await result.next()).done);
  } catch (thrown) {
    error = String(thrown)
  }
  await sql`rollback to savepoint call`.execute(trx)
  await sql`release savepoint call`.execute(trx)
  return { steps, error }
}

/** A database whose statements run in the transaction, each with the wall of the owner that its parameters name. */
function traced(trx: Trx, owner: string | undefined, steps: Step[]): Trx {
  const connection: DatabaseConnection = {
    async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
      if (owner !== undefined) {
        const named = query.parameters.flat().includes(owner) ? owner : ''
        await trx.executeQuery(CompiledQuery.raw("select set_config('latchkey.owner', $1, true)", [named]))
      }
      const result = await trx.executeQuery(query)
      steps.push({
        sql: query.sql,
        affected: Number(result.numAffectedRows ?? result.rows.length) || result.rows.length,
        rows: /\binsert\b/.test(query.sql) ? result.rows.length : result.rows,
      })
      return result as QueryResult<R>
    },
    streamQuery() {
      throw new Error('no statement is streamed')
    },
  }
  const nothing = async () => {}
  const db = new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createDriver: () => ({
        init: nothing,
        acquireConnection: async () => connection,
        beginTransaction: nothing,
        commitTransaction: nothing,
        rollbackTransaction: nothing,
        releaseConnection: nothing,
        destroy: nothing,
      }),
    },
  })
  return db as unknown as Trx
}
