import { cpSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { newResource } from '../../../scripts/new-resource/index.ts'
import { singularOf } from '../../../scripts/new-resource/names.ts'

/** A service with tasks as its only resource: what the command reads of it. */
function serviceWithTasks(t: Test): string {
  const root = t.testdir({
    'openapi.yaml': `tags:
  - name: auth
paths:
  /api/auth/keys:
    get:
      operationId: listKeys
components:
  schemas:
    Problem: {}
`,
    src: {
      db: {
        migrations: {
          'index.ts': `import type { Migration } from 'kysely/migration'
import * as accountsAndTasks from './0001_accounts_and_tasks.ts'
import * as taskCounts from './0011_task_counts.ts'

export const migrations: Record<string, Migration> = {
  '0001_accounts_and_tasks': accountsAndTasks,
  '0011_task_counts': taskCounts,
}
`,
        },
      },
      resources: { 'index.ts': '', 'tasks.ts': '' },
    },
  })
  const copied = ['src/db/migrations/0001_accounts_and_tasks.ts', 'src/db/migrations/0011_task_counts.ts']
  for (const path of [...copied, 'src/problem.ts']) cpSync(path, join(root, path))
  return root
}

/** Every file below a folder, with its text. */
function textsIn(root: string): Record<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [
      join(parentPath, name),
      readFileSync(join(parentPath, name), 'utf8'),
    ]),
  )
}

t.test('new:resource writes migration, declaration, test and indexes', async (t) => {
  const root = serviceWithTasks(t)
  const written = newResource(['notes', 'title:string', 'body:text?', 'done:boolean'], root)
  t.same(written, [
    'src/db/migrations/0012_notes.ts',
    'src/db/migrations/index.ts',
    'src/resources/notes.ts',
    'src/resources/index.ts',
    'test/src/resources/notes.test.ts',
  ])
  const [migration = '', migrations, declaration, index, test] = written.map((path) =>
    readFileSync(join(root, path), 'utf8'),
  )
  t.match(migrations, "import * as notes from './0012_notes.ts'\n")
  t.match(migrations, "\n  '0012_notes': notes,\n}\n")
  t.match(migrations, "  '0001_accounts_and_tasks': accountsAndTasks,\n", 'the others are kept')
  t.equal(
    declaration,
    `import { Type } from '@sinclair/typebox'
import { ownedResource } from '../owned/resource.ts'

export default ownedResource({
  name: 'notes',
  one: 'note',
  fields: {
    title: Type.String({ minLength: 1, maxLength: 200, examples: ['Some title'] }),
    body: Type.Optional(Type.String({ maxLength: 4000, examples: ['Some body'] })),
    done: Type.Boolean({ default: false, examples: [false] }),
  },
  filters: ['done'],
  limit: 10_000,
})
`,
  )
  for (const line of [
    "createTable('notes')",
    "addColumn('title', 'text', (column) => column.notNull())",
    "addColumn('body', 'text')\n",
    "addColumn('done', 'boolean', (column) => column.notNull().defaultTo(false))",
    "references('users.id').onDelete('cascade')",
    "createIndex('notes_not_done')",
    "createTable('note_counts')",
  ])
    t.ok(migration.includes(line), line)
  t.match(index, "import notes from './notes.ts'\n")
  t.match(index, 'readonly Resource[] = [notes, tasks]\n')
  t.match(test, 'testOwnedResource(notes)')

  t.throws(() => newResource(['notes', 'title:string'], root), { message: /^notes is taken/ })
  const [next] = newResource(['line_items', 'amount:number'], root)
  t.equal(next, 'src/db/migrations/0013_line_items.ts')
  t.match(readFileSync(join(root, 'src/resources/index.ts'), 'utf8'), '= [lineItems, notes, tasks]\n')
})

t.test('new:resource knows a type for each kind of column', async (t) => {
  const root = serviceWithTasks(t)
  const fields = 'a:string b:text c:integer d:number e:boolean? f:date g:datetime? h:json i:enum:x,y'.split(
    ' ',
  )
  const [migration = '', , declaration = ''] = newResource(['boxes', ...fields, 'j:enum(x,y)?'], root)
  const columns = readFileSync(join(root, migration), 'utf8')
  for (const [name, type] of Object.entries({
    a: 'text',
    b: 'text',
    c: 'bigint',
    d: 'double precision',
    e: 'boolean',
    f: 'date',
    g: 'timestamptz(3)',
    h: 'json',
    i: 'text',
    j: 'text',
  }))
    t.ok(columns.includes(`addColumn('${name}', '${type}'`), name)
  t.match(columns, "i in ('x', 'y')")
  const text = readFileSync(join(root, declaration), 'utf8')
  t.match(text, "one: 'box'")
  t.match(text, "j: Type.Optional(Type.String({ enum: ['x', 'y'], examples: ['x'] }))")
  t.match(text, "filters: ['e', 'i', 'j']")
})

const refused: readonly (readonly [args: string, line: RegExp])[] = [
  ['', /a name and fields are missing\n/],
  ['notes', /^notes has no fields\n/],
  ['Notes title:string', /^"Notes" is no name: letters/],
  ['my-notes title:string', /^"my-notes" is no name/],
  ['1notes title:string', /is no name/],
  ['../notes title:string', /is no name/],
  ["notes'; title:string", /is no name/],
  ['notes__x title:string', /is no name/],
  [`${'n'.repeat(24)}s title:string`, /at most 24 characters/],
  ['user title:string --one=account', /^user is a reserved word/],
  ['notes title:string --one=No', /^"No" is no name/],
  ['users name:string', /^users is taken: there is a table users/],
  ['sessions title:string', /^sessions is taken: there is a table/],
  ['tasks title:string', /^tasks is taken: src\/resources\/tasks\.ts exists/],
  ['auth x:string --one=auth_thing', /^auth is taken: it is a tag/],
  ['keys title:string', /^keys is taken: there is an operation listKeys/],
  ['todos title:string --one=task', /^todos is taken: there is a table task_counts/],
  ['dongles title:string --one=problem', /^problem is taken: the contract has a schema Problem/],
  ['resources title:string', /^resources is taken/],
  ['sheep title:string', /^what is one of sheep called\?/],
  ['notes title:string --one=notes', /needs another name/],
  ['notes title:string --two=note', /^--two=note is no option/],
  ['notes title:string --one=note --one=note', /^--one is there twice/],
  ['notes title', /^"title" is no field/],
  ['notes :string', /is no name/],
  ['notes title:strng', /^"strng" is no type of title: string, text, integer/],
  ['notes title:toString', /is no type/],
  ['notes title:string title:text', /^the field title is there twice/],
  ['notes id:integer', /^every resource has id already/],
  ['notes user_id:string', /^every resource has user_id already/],
  ['notes note_id:integer', /^note_id is the parameter of the path/],
  ['notes order:integer', /^order is a reserved word/],
  ['notes class:string', /^class is a reserved word/],
  ['notes constructor:string', /^constructor is a reserved word/],
  ['notes Title:string', /^"Title" is no name/],
  ['notes state:enum', /is no type of state/],
  ['notes state:enum:open', /^state has one value only/],
  ['notes state:enum:open,open', /^state has the same value twice/],
  ["notes state:enum:a,b'", /is no value of state/],
]

t.test(
  'new:resource refuses what it cannot make, in one line that says why, and writes nothing',
  async (t) => {
    const root = serviceWithTasks(t)
    const before = textsIn(root)
    for (const [args, message] of refused)
      t.throws(() => newResource(args.split(' ').filter(Boolean), root), { name: 'Refused', message }, args)
    t.same(textsIn(root), before)
  },
)

t.test('one of many', async (t) => {
  const singulars: Record<string, string> = {
    notes: 'note',
    categories: 'category',
    boxes: 'box',
    addresses: 'address',
    branches: 'branch',
    statuses: 'status',
    houses: 'house',
    orders: 'order',
    expenses: 'expense',
    movies: 'movie',
    line_items: 'line_item',
    home_addresses: 'home_address',
    people: 'person',
    days: 'day',
  }
  for (const [many, one] of Object.entries(singulars)) t.equal(singularOf(many), one)
})
