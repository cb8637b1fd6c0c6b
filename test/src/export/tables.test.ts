import { sql } from 'kysely'
import t from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import { exportedTables, leftOut, tablesLeftOut } from '../../../src/export/tables.ts'
import { resources } from '../../../src/resources/index.ts'
import { migratedDatabase } from '../../helper.ts'

interface Column {
  readonly table: string
  readonly column: string
}

async function columnsOf(db: Db): Promise<Column[]> {
  const { rows } = await sql<Column>`
    select table_name as table, column_name as column from information_schema.columns
    where table_schema = current_schema() order by table_name, ordinal_position`.execute(db)
  return rows
}

/** Columns that refer to a user, by their name or by a foreign key. */
async function ownerColumnsOf(db: Db): Promise<Column[]> {
  const { rows } = await sql<Column>`
    select c.conrelid::regclass::text as table, a.attname as column
    from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any(c.conkey)
    where c.contype = 'f' and c.confrelid = 'users'::regclass`.execute(db)
  const named = (await columnsOf(db)).filter(({ column }) => /(^|_)(user|owner)(_id)?$/.test(column))
  const found = [{ table: 'users', column: 'id' }, ...named, ...rows]
  return [...new Map(found.map((each) => [`${each.table}.${each.column}`, each])).values()]
}

t.test('every table with rows of users is exported, or left out with a reason', async (t) => {
  const db = await migratedDatabase(t)
  const exported = exportedTables(resources)
  const reasons = tablesLeftOut(resources)
  const owners = await ownerColumnsOf(db)
  t.ok(owners.length > 12, 'owner columns are found')
  const forgotten = owners
    .filter(({ table, column }) => {
      const declared = exported.find((one) => one.table === table)
      return declared ? declared.owner !== column : reasons[table] === undefined
    })
    .map(
      ({ table, column }) =>
        `${table}.${column} refers to a user: in src/export/tables.ts, add the table to \`tables\`, ` +
        'or to `leftOut` with the reason why a user who asks for everything does not get it',
    )
  t.same(forgotten, [])
  const existing = new Set(owners.map(({ table }) => table))
  for (const table of [...exported.map(({ table }) => table), ...Object.keys(reasons)])
    t.ok(existing.has(table), `${table} exists`)
  t.notOk(
    exported.some(({ table }) => leftOut[table] !== undefined),
    'no table is both',
  )
})

t.test('every column of an exported table is exported, or withheld with a reason', async (t) => {
  const db = await migratedDatabase(t)
  const columns = await columnsOf(db)
  for (const { table, owner, columns: exported, withheld, key } of exportedTables(resources)) {
    const existing = columns.filter((one) => one.table === table).map(({ column }) => column)
    const declared = [owner, ...exported, ...Object.keys(withheld)]
    t.same(
      existing
        .filter((column) => !declared.includes(column))
        .map(
          (column) =>
            `${table}.${column} is new: in src/export/tables.ts, add it to \`columns\`, or to \`withheld\` with the ` +
            'reason: whatever a token, a password or a code could be guessed or made from',
        ),
      [],
    )
    t.same(
      declared.filter((column) => !existing.includes(column)),
      [],
      `${table}: each declared column exists`,
    )
    t.equal(new Set(declared).size, declared.length, `${table}: each column once`)
    t.same(
      key.filter((column) => !existing.includes(column)),
      [],
    )
    for (const reason of Object.values(withheld)) t.ok(reason.length > 10, `${table}: ${reason}`)
  }
})

t.test('no column with a name of a secret is exported', async (t) => {
  for (const { table, columns } of exportedTables(resources)) {
    t.same(
      columns.filter((column) => /hash|salt|mac$|secret|private|sealed/.test(column)),
      [],
      table,
    )
  }
})

t.test('the rows of a user are ordered by a unique key', async (t) => {
  const db = await migratedDatabase(t)
  const { rows } = await sql<{ table: string; columns: string[] }>`
    select i.indrelid::regclass::text as table, array_agg(a.attname::text order by a.attnum) as columns
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
    where i.indisunique and i.indpred is null group by i.indexrelid, i.indrelid`.execute(db)
  for (const { table, owner, key } of exportedTables(resources)) {
    const known = rows.filter((one) => one.table === table).map(({ columns }) => columns)
    t.ok(
      known.some((columns) => columns.every((column) => column === owner || key.includes(column))),
      `${table}: ${key.join(', ')} of ${JSON.stringify(known)}`,
    )
  }
})
