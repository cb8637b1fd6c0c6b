import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { camelCase } from './names.ts'
import type { Wanted, WantedField } from './request.ts'

/** How many of a new resource a user may have. */
const usualLimit = 10_000

/** Paths in the service, and what is to be in each file. */
export function filesOf(wanted: Wanted, root: string): Map<string, string> {
  const number = nextNumber(join(root, 'src/db/migrations'))
  const migration = `${number}_${wanted.name}`
  const migrations = 'src/db/migrations/index.ts'
  return new Map([
    [`src/db/migrations/${migration}.ts`, migrationOf(wanted)],
    [migrations, withMigration(readFileSync(join(root, migrations), 'utf8'), migration, wanted.name)],
    [`src/resources/${wanted.name}.ts`, declarationOf(wanted)],
    ['src/resources/index.ts', indexOf(resourcesIn(join(root, 'src/resources')), wanted.name)],
    [`test/src/resources/${wanted.name}.test.ts`, testOf(wanted)],
  ])
}

function declarationOf({ name, one, fields }: Wanted): string {
  const filters = fields.filter(({ filter }) => filter).map((field) => `'${field.name}'`)
  const schemas = fields.map(({ name, optional, schema }) => {
    // What is null unless it is sent needs no default.
    const bare = optional ? schema.replace('default: false, ', '') : schema
    return `    ${name}: ${optional ? `Type.Optional(${bare})` : bare},`
  })
  return `import { Type } from '@sinclair/typebox'
import { ownedResource } from '../owned/resource.ts'

export default ownedResource({
  name: '${name}',
  one: '${one}',
  fields: {
${schemas.join('\n')}
  },
${filters.length > 0 ? `  filters: [${filters.join(', ')}],\n` : ''}  limit: ${usualLimit.toLocaleString('en').replace(',', '_')},
})
`
}

function migrationOf({ name, one, fields }: Wanted): string {
  const columns = fields.map(
    ({ name, column, optional, default: initial }) =>
      `    .addColumn('${name}', ${column}${optional ? '' : `, (column) => column.notNull()${initial ? `.defaultTo(${initial})` : ''}`})`,
  )
  const checks = fields.flatMap((field) =>
    Object.entries(field.checks ?? {}).map(
      ([ending, condition]) =>
        `    .addCheckConstraint('${name}_${field.name}_${ending}', sql\`${condition}\`)`,
    ),
  )
  const indexes = fields.flatMap((field) => indexesOf(name, field))
  return `import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql\`text collate "C"\`
  const now = sql\`now()\`
  await db.schema
    .createTable('${name}')
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('id', 'bigint', (column) => column.notNull().generatedAlwaysAsIdentity())
${columns.join('\n')}
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('updated_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    // The owner comes first: one index serves the guard in the WHERE, the keyset and the single read.
    .addPrimaryKeyConstraint('${name}_pkey', ['user_id', 'id'])
${checks.map((check) => `${check}\n`).join('')}    .execute()
${indexes.map((index) => `${index}\n`).join('')}
  // How many a user has, about: src/owned/quota.ts counts exactly near the limit.
  await db.schema
    .createTable('${one}_counts')
    .addColumn('user_id', id, (column) => column.primaryKey().references('users.id').onDelete('cascade'))
    .addColumn('counted', 'bigint', (column) => column.notNull())
    .execute()
  await sql\`create trigger count_owned after insert on ${name}
    for each row when (random() < 1.0 / 32) execute function count_owned('${one}_counts')\`.execute(db)
}
`
}

/** So that a list that is narrowed reads the rows that it returns, and no others. */
function indexesOf(table: string, { name, filter }: WantedField): string[] {
  if (filter === 'enum')
    return [
      `  await db.schema.createIndex('${table}_${name}').on('${table}').columns(['user_id', '${name}', 'id']).execute()`,
    ]
  if (filter !== 'boolean') return []
  return [true, false].map(
    (value) => `  await db.schema
    .createIndex('${table}_${value ? '' : 'not_'}${name}')
    .on('${table}')
    .columns(['user_id', 'id'])
    .where(sql.ref('${name}'), '=', ${value})
    .execute()`,
  )
}

function testOf({ name }: Wanted): string {
  const variable = camelCase(name)
  return `import ${variable} from '../../../src/resources/${name}.ts'
import { testOwnedResource } from '../../support/owned-resource.ts'

testOwnedResource(${variable})
`
}

function resourcesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
    .map((file) => file.replace(/\.ts$/, ''))
}

function indexOf(existing: readonly string[], added: string): string {
  const names = [...existing, added].sort()
  return `// Written by \`npm run new:resource\` from the files of this folder.
import type { Resource } from '../owned/resource.ts'
${names.map((name) => `import ${camelCase(name)} from './${name}.ts'`).join('\n')}

/** Every resource that users own. */
export const resources: readonly Resource[] = [${names.map(camelCase).join(', ')}]
`
}

function nextNumber(folder: string): string {
  const numbers = readdirSync(folder).map((file) => Number(/^(\d{4})_/.exec(file)?.[1] ?? 0))
  return String(Math.max(...numbers) + 1).padStart(4, '0')
}

function withMigration(index: string, migration: string, name: string): string {
  const plain = camelCase(name)
  const variable = new RegExp(`\\b${plain}\\b`).test(index) ? `${plain}Table` : plain
  const imports = index.lastIndexOf('import * as ')
  const afterImports = index.indexOf('\n', imports) + 1
  const end = index.lastIndexOf('\n}')
  return [
    index.slice(0, afterImports),
    `import * as ${variable} from './${migration}.ts'\n`,
    index.slice(afterImports, end),
    `\n  '${migration}': ${variable},`,
    index.slice(end),
  ].join('')
}
