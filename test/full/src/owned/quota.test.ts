import { sql } from 'kysely'
import t from 'tap'
import { insertWithinQuota } from '../../../../src/owned/quota.ts'
import tasks from '../../../../src/resources/tasks.ts'
import type { OwnerId } from '../../../../src/tokens/owner.ts'
import { problemOf, signUp, type TestUser, testApp, twoUsers } from '../../../helper.ts'

const refused = { status: 409, code: 'task_limit_reached' }
const add = (user: TestUser, headers = {}) =>
  user.call('POST', user.tasks, { title: 'Buy milk' }, { headers })

async function listed(user: TestUser): Promise<{ id: number }[]> {
  return (await user.call('GET', `${user.tasks}?limit=100`)).json()
}

t.test('a user has at most MAX_TASKS_PER_USER tasks, even under concurrent requests', async (t) => {
  const { alice, bob } = await twoUsers(t, { env: { MAX_TASKS_PER_USER: '5' } })
  const answers = await Promise.all(Array.from({ length: 20 }, () => add(alice)))
  const statuses = answers.map(({ statusCode }) => statusCode).sort()
  t.same(statuses, [...Array(5).fill(201), ...Array(15).fill(409)])
  for (const answer of answers) if (answer.statusCode === 409) t.match(problemOf(answer), refused)
  t.equal((await listed(alice)).length, 5)
  t.equal((await add(bob)).statusCode, 201, 'another user has a limit of their own')

  const [{ id } = { id: 0 }] = await listed(alice)
  t.equal((await alice.call('DELETE', `${alice.tasks}/${id}`)).statusCode, 204)
  t.equal((await add(alice)).statusCode, 201, 'a deleted task makes room')
  t.match(problemOf(await add(alice)), refused)
})

t.test(
  'a refused request does not use up its Idempotency-Key, and a repetition needs no quota',
  async (t) => {
    const { alice } = await twoUsers(t, { env: { MAX_TASKS_PER_USER: '1' } })
    const first = await add(alice, { 'idempotency-key': 'first' })
    t.equal(first.statusCode, 201)
    t.same((await add(alice, { 'idempotency-key': 'first' })).json(), first.json())
    t.match(problemOf(await add(alice, { 'idempotency-key': 'second' })), refused)
    await alice.call('DELETE', first.headers.location as string)
    t.equal((await add(alice, { 'idempotency-key': 'second' })).statusCode, 201)
  },
)

t.test('tasks inserted by SQL count too', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { MAX_TASKS_PER_USER: '1000' } })
  t.equal((await add(alice)).statusCode, 201)
  await sql`insert into tasks (user_id, title) select ${alice.id}, 'x' from generate_series(1, 999)`.execute(
    app.db,
  )
  t.match(problemOf(await add(alice)), refused)
  t.equal((await add(bob)).statusCode, 201)

  await app.db.deleteFrom('tasks').where('user_id', '=', alice.id).execute()
  t.equal((await add(alice)).statusCode, 201)
  const counted = app.db.selectFrom('task_counts').select('counted').where('user_id', '=', alice.id)
  t.same(await counted.execute(), [{ counted: 0 }], 'the next one is not counted again')
})

t.test('the estimate is refreshed as tasks are inserted one by one', async (t) => {
  const { app, alice } = await twoUsers(t)
  const owner = alice.id as OwnerId
  const max = 1_200
  let inserted = 0
  const insert = () =>
    insertWithinQuota(tasks, app.db, owner, { title: 'x', description: null, completed: false }, max).then(
      () => inserted++,
      (error) => error,
    )
  while (inserted < max) await insert()
  t.match(await insert(), { code: 'task_limit_reached' })
  await app.db.transaction().execute(async (trx) => {
    t.equal(await tasks.rows.countOwned(trx, owner, 2 * max), max)
  })
})

t.test('deleting an account deletes its count', async (t) => {
  const app = await testApp(t)
  const alice = await signUp(app, 'alice')
  await sql`insert into tasks (user_id, title) select ${alice.id}, 'x' from generate_series(1, 999)`.execute(
    app.db,
  )
  await app.db.deleteFrom('users').where('id', '=', alice.id).execute()
  t.same(await app.db.selectFrom('task_counts').selectAll().execute(), [])
  t.equal((await add(alice)).statusCode, 401, 'no account, no task')
})
