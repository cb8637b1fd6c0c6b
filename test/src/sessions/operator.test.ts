import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import t from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import { keptOpen, migratedDatabase, type TestUser, testApp, twoUsers } from '../../helper.ts'
import { mint } from '../../support/mint.ts'

/** One user's sessions, one user's other tokens, all sessions. */
const statements = [...readFileSync('docs/sessions.md', 'utf8').matchAll(/```sql\n(.*?)```/gs)].map(
  ([, block = '']) => block,
)

async function run(db: Db, statement = '', user?: TestUser): Promise<void> {
  await sql.raw(statement.replaceAll('user_01kb3v5rs1e2wbhx4hrsz3zj5e', user?.id ?? '')).execute(db)
}

t.test('docs/sessions.md: the documented statements end the sessions of one user, or of all', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const { alice, bob } = await twoUsers(t, { db: keptOpen(db) })
  const foreign = mint({ typ: 'JWT' }, { iss: undefined, sid: undefined, sub: alice.id })

  /** Asked of a new instance, which reads all revocations. */
  async function statuses() {
    const app = await testApp(t, { db: keptOpen(db) })
    const me = (token: string) =>
      app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })
    const refresh = ({ refreshToken }: TestUser) =>
      app.inject({ method: 'POST', url: '/api/auth/refresh', payload: { refresh_token: refreshToken } })
    const answers = [me(alice.token), me(foreign), refresh(alice), me(bob.token), refresh(bob)]
    return (await Promise.all(answers)).map(({ statusCode }) => statusCode)
  }
  await run(db, statements[0], alice)
  t.same(await statuses(), [401, 200, 401, 200, 200])
  await run(db, statements[1], alice)
  t.same(await statuses(), [401, 401, 401, 200, 200])
  await run(db, statements[2])
  t.same(await statuses(), [401, 401, 401, 401, 401])
})
