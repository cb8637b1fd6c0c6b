import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import t from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import tasks from '../../../src/resources/tasks.ts'
import type { OwnerId } from '../../../src/tokens/owner.ts'
import { insertForeignUser } from '../../../src/users/creation.ts'
import { migratedDatabase, secret, testApp } from '../../helper.ts'
import { goodClaims, mint, sign } from '../../support/mint.ts'

/** The statements of the page, by transaction. */
const transactions = [...readFileSync('docs/better-auth.md', 'utf8').matchAll(/```sql\n(.*?)```/gs)].map(
  ([, block = '']) => block.split(/;\n/).filter((statement) => statement.trim() !== ''),
)

async function run(db: Db, statements: readonly string[] = []): Promise<void> {
  await db.connection().execute(async (connection) => {
    for (const statement of statements) await sql.raw(statement).execute(connection)
  })
}

const betterAuth = 'https://app.example.com'

/** Inserts a trusted issuer's user with a task. */
async function insertForeignUserWithTask(db: Db, issuer: string, subject: string): Promise<void> {
  const id = issuer === 'shared-secret' ? subject : `${issuer} ${subject}`
  await insertForeignUser(db, { id, issuer, subject, email: null, emailVerified: false, name: subject })
  await tasks.rows.insertOwned(db, id as OwnerId, {
    title: `${subject} of ${issuer}`,
    description: null,
    completed: false,
  })
}

/** Inserts an account under its former id, as an import does. */
async function imported(db: Db, id: string): Promise<void> {
  await db
    .insertInto('users')
    .values({ id, email: `${id.toLowerCase()}@example.com`, name: id, password_hash: 'scrypt' })
    .execute()
}

const owners = async (db: Db) =>
  (await db.selectFrom('tasks').select(['user_id', 'title']).orderBy('title').execute()).map(
    ({ user_id, title }) => `${title}: ${user_id}`,
  )

t.test('docs/better-auth.md: tasks of an issuer’s users move to the imported accounts', async (t) => {
  const db = await migratedDatabase(t)
  const app = await testApp(t, { db })
  for (const subject of ['Alice', 'Bob']) await insertForeignUserWithTask(db, betterAuth, subject)
  await insertForeignUserWithTask(db, 'https://login.example.com', 'Alice')
  await imported(db, 'Alice')
  await run(db, transactions[0])
  t.same(await owners(db), [
    'Alice of https://app.example.com: Alice',
    'Alice of https://login.example.com: https://login.example.com Alice',
    'Bob of https://app.example.com: https://app.example.com Bob',
  ])
  const rows = await db.selectFrom('users').select('id').orderBy('id').execute()
  t.same(
    rows.map(({ id }) => id),
    ['Alice', 'https://app.example.com Bob', 'https://login.example.com Alice'],
  )

  const headers = { authorization: `Bearer ${mint({}, { sub: 'Alice' })}` }
  const answer = await app.inject({ url: '/api/Alice/tasks', headers })
  t.match(answer.json(), [{ user_id: 'Alice', title: 'Alice of https://app.example.com' }])
})

t.test('docs/better-auth.md: tasks under the shared secret move to the imported accounts', async (t) => {
  const db = await migratedDatabase(t)
  const app = await testApp(t, { db })
  for (const subject of ['Alice', 'Bob']) await insertForeignUserWithTask(db, 'shared-secret', subject)
  await insertForeignUserWithTask(db, betterAuth, 'Alice')
  await run(db, transactions[1])
  await imported(db, 'Alice')
  await run(
    db,
    transactions[0]?.map((statement) => statement.replaceAll(betterAuth, 'moved')),
  )
  t.same(await owners(db), [
    'Alice of https://app.example.com: https://app.example.com Alice',
    'Alice of shared-secret: Alice',
    'Bob of shared-secret: moved Bob',
  ])

  const { iat, exp } = goodClaims()
  const token = sign({ alg: 'HS256' }, { sub: 'Alice', iat, exp }, secret)
  const answer = await app.inject({
    url: '/api/Alice/tasks',
    headers: { authorization: `Bearer ${token}` },
  })
  t.match(answer.json(), [{ title: 'Alice of shared-secret' }], 'a token under the secret names the account')
})
