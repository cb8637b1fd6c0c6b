import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Trx } from '../../../src/db/schema.ts'
import { resources } from '../../../src/resources/index.ts'
import { twoUsers } from '../../helper.ts'
import { buildWall, type Call, faultsOf, findsRows } from '../../support/wall.ts'
import {
  type Arguments,
  before,
  calls,
  resourceCalls,
  roomsWithoutOwner,
  withoutOwner,
} from '../../support/wall-calls.ts'
import { type Rows, stageRows } from '../../support/wall-stage.ts'

type Statements = (db: Trx, ...rest: unknown[]) => unknown

interface Subject {
  readonly name: string
  readonly run: Statements
  readonly args: readonly Arguments[]
}

const root = join(import.meta.dirname, '../../../src')
const hasStatements = /\b(selectFrom|selectNoFrom|insertInto|updateTable|deleteFrom)\(|\bsql(<[^`]*>)?`/
/** The database, and the parameter after it. */
const signature = /^(?:async\s+)?(?:function\s*\*?\s*\w+\s*)?\(\s*(?:db|trx)\b\s*,?\s*(\w*)/

interface RepositoryFunction {
  readonly file: string
  readonly name: string
  readonly run: Statements
}

/** Every function of the repositories with statements, but for those of the resources. */
async function repositoryFunctions(): Promise<RepositoryFunction[]> {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts') && !/^db\b/.test(file))
    .filter((file) => hasStatements.test(readFileSync(join('src', file), 'utf8')))
  const found = await Promise.all(
    files.sort().map(async (file) => {
      const url = pathToFileURL(join(root, file.replace(/\.ts$/, '.js'))).href
      const exported: Record<string, unknown> = await import(url)
      return Object.entries(exported)
        .filter(([, value]) => typeof value === 'function' && signature.test(value.toString()))
        .map(([name, run]) => ({ file: file.replaceAll('\\', '/'), name, run: run as Statements }))
    }),
  )
  return found.flat()
}

const asList = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value])

/** @returns undefined for one that is listed as without an owner; its name, if nothing is known of it */
function subjectOf({ file, name, run }: RepositoryFunction): Subject | string | undefined {
  const listed = calls[file]?.[name]
  const label = `${file} ${name}`
  if (listed) return { name: label, run, args: asList(listed) }
  const reasons = withoutOwner[file] ?? {}
  if (reasons[name] ?? reasons['*'] ?? roomsWithoutOwner[dirname(file)]) return undefined
  const [, second] = signature.exec(run.toString()) ?? []
  if ((second === 'owner' || second === 'userId') && run.length === 2) {
    return { name: label, run, args: [(owner: string) => [owner]] }
  }
  return `src/${label}`
}

function resourceSubjects(): Subject[] {
  return resources.flatMap(({ name, rows }) =>
    Object.entries(rows).map(([method, run]) => {
      const args = resourceCalls[method]
      if (!args) throw new Error(`${method} of a resource: name its arguments in test/support/wall-calls.ts`)
      return { name: `${name} ${method}`, run: run as Statements, args: asList(args(name)) }
    }),
  )
}

interface Stage {
  readonly trx: Trx
  readonly alice: string
  readonly own: Rows
  readonly foreign: Rows
}

/** Two users with like rows, and the wall; in a transaction that is rolled back. */
async function stage(t: Test, run: (stage: Stage) => Promise<void>): Promise<void> {
  const { app, alice, bob } = await twoUsers(t)
  await app.mailWorker?.stop(5_000)
  const end = new Error('the end of the stage')
  const staged = app.db.transaction().execute(async (trx) => {
    const [own, foreign] = [await stageRows(trx, alice.id), await stageRows(trx, bob.id)]
    await buildWall(trx)
    await run({ trx, alice: alice.id, own, foreign })
    throw end
  })
  await staged.catch((error: unknown) => {
    if (error !== end) throw error
  })
}

t.test(
  'every function of a repository has its owner in its statements, or a reason to have none',
  async (t) => {
    const functions = await repositoryFunctions()
    const found = [...functions.flatMap((each) => subjectOf(each) ?? []), ...resourceSubjects()]
    const unknown = found.filter((each) => typeof each === 'string')
    t.same(unknown, [], 'each has its arguments, or why it has no owner, in test/support/wall-calls.ts')
    const subjects = found.filter((each): each is Subject => typeof each !== 'string')
    t.ok(subjects.length > 50, `${subjects.length} functions`)
    await stage(t, async ({ trx, alice, own, foreign }) => {
      for (const { name, run, args } of subjects) {
        await sql`savepoint subject`.execute(trx)
        await before[name]?.execute(trx)
        const found: boolean[] = []
        for (const argumentsOf of args) {
          const call: Call = (db) => run(db, ...argumentsOf(alice, own))
          const onForeignRows: Call = (db) => run(db, ...argumentsOf(alice, foreign))
          t.same(await faultsOf(trx, alice, call), [], name)
          t.same(await faultsOf(trx, alice, onForeignRows), [], `${name}, of another's rows`)
          found.push(await findsRows(trx, call))
        }
        t.ok(found.includes(true), `${name} finds or changes a row`)
        await sql`rollback to savepoint subject`.execute(trx)
      }
    })
  },
)

t.test('each function that is listed exists, with a reason', async (t) => {
  const functions = await repositoryFunctions()
  const names = new Set(functions.flatMap(({ file, name }) => [`${file} ${name}`, `${file} *`]))
  const rooms = new Set(functions.map(({ file }) => dirname(file)))
  for (const room of Object.keys(roomsWithoutOwner)) t.ok(rooms.has(room), room)
  for (const listed of Object.keys(before)) t.ok(names.has(listed), listed)
  for (const listed of [calls, withoutOwner]) {
    for (const [file, entries] of Object.entries(listed)) {
      for (const name of Object.keys(entries)) t.ok(names.has(`${file} ${name}`), `${file} ${name}`)
    }
  }
})

t.test('a statement that forgets its owner is caught', async (t) => {
  await stage(t, async ({ trx, alice, own, foreign }) => {
    const wrong: Record<string, Call> = {
      'a list of all': (db) => db.selectFrom('sessions').select('id').execute(),
      'a read by id': (db) => db.selectFrom('tasks').selectAll().where('id', '=', own['tasks'].id).execute(),
      'an update by id': (db) =>
        db.updateTable('users').set({ name: 'x' }).where('id', '=', foreign['users'].id).execute(),
      'a deletion by id': (db) =>
        db.deleteFrom('api_keys').where('id', '=', foreign['api_keys'].id).execute(),
      'a count of all': (db) =>
        db
          .selectFrom('tasks')
          .select((eb) => eb.fn.countAll().as('count'))
          .execute(),
      'an owner that narrows nothing': (db) =>
        db
          .selectFrom('tasks')
          .select(['id', sql`${alice}::text`.as('owner')])
          .execute(),
      'an owner in an or': (db) =>
        db
          .selectFrom('tasks')
          .selectAll()
          .where((eb) => eb.or({ user_id: alice, completed: false }))
          .execute(),
      'an owner in one of two tables': (db) =>
        sql`select k.id from users u, api_keys k where u.id = ${alice}`.execute(db),
      'a row of another': (db) =>
        sql`with own as (select id from users where id = ${alice})
          insert into task_counts (user_id, counted) select ${foreign['users'].id}, 1 from own
          on conflict (user_id) do update set counted = 2`.execute(db),
    }
    for (const [name, call] of Object.entries(wrong)) {
      t.not((await faultsOf(trx, alice, call)).length, 0, name)
    }
    const right: Call = (db) => db.selectFrom('tasks').selectAll().where('user_id', '=', alice).execute()
    t.same(await faultsOf(trx, alice, right), [])
  })
})
