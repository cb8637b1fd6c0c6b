import { sql } from 'kysely'
import t from 'tap'
import { problemOf, twoUsers } from '../../helper.ts'

const greatest = Number.MAX_SAFE_INTEGER

t.test('ids up to 2^53 - 1 are created, listed, read, changed and deleted', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await sql`alter table tasks alter column id restart with ${sql.lit(greatest - 2)}`.execute(app.db)
  const key = { headers: { 'idempotency-key': '3f8b0a9c-6d0e-4a51-9c2b-7d1e5f4a3b2c' } }
  const first = await alice.call('POST', alice.tasks, { title: 'first' }, key)
  await alice.call('POST', alice.tasks, { title: 'second' })
  const last = await alice.call('POST', alice.tasks, { title: 'last' })
  t.equal(last.headers['location'], `${alice.tasks}/9007199254740991`)
  t.match(last.body, /"id":9007199254740991\b/)
  t.equal((await alice.call('POST', alice.tasks, { title: 'first' }, key)).body, first.body, 'a repetition')

  const seen: number[] = []
  for (let url: string | undefined = `${alice.tasks}?limit=1`; url; ) {
    const page = await alice.call('GET', url)
    seen.push(...page.json().map(({ id }: { id: number }) => id))
    url = /<([^>]+)>; rel="next"/.exec(String(page.headers['link'] ?? ''))?.[1]
  }
  t.same(seen, [greatest - 2, greatest - 1, greatest])

  const task = `${alice.tasks}/${greatest}`
  t.equal((await alice.call('PATCH', task, { completed: true })).json().id, greatest)
  t.equal((await bob.call('GET', task)).statusCode, 403)
  t.equal((await bob.call('GET', `${bob.tasks}/${greatest}`)).statusCode, 404)
  t.equal((await alice.call('GET', task)).json().title, 'last')
  t.equal((await alice.call('DELETE', task)).statusCode, 204)
  t.same((await alice.call('GET', `${alice.tasks}?cursor=${greatest - 1}`)).json(), [])
})

t.test('cursors and ids are bounded by 2^53 - 1', async (t) => {
  const { alice } = await twoUsers(t)
  for (const cursor of [1, 9, 10, 999_999_999_999_999, 1_000_000_000_000_000, greatest - 100, greatest]) {
    const page = await alice.call('GET', `${alice.tasks}?cursor=${cursor}`)
    t.same([page.statusCode, page.json()], [200, []], String(cursor))
    t.equal((await alice.call('GET', `${alice.tasks}/${cursor}`)).statusCode, 404)
  }
  for (const beyond of [
    '9007199254740992',
    '9007199254741000',
    '9999999999999999',
    '10000000000000000',
    '0',
  ]) {
    const page = await alice.call('GET', `${alice.tasks}?cursor=${beyond}`)
    t.match(problemOf(page), { status: 400, code: 'validation_failed' }, beyond)
    t.equal((await alice.call('GET', `${alice.tasks}/${beyond}`)).statusCode, 400, beyond)
  }
})
