import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import type { Db } from '../../../src/db/schema.ts'
import { post, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

interface Session {
  readonly token: string
  readonly user: { readonly id: string; readonly name: string }
}

async function signUp(url: string, name: string): Promise<Session> {
  const account = { email: `${name}@example.com`, password: 'correct horse battery', name }
  return (await post(`${url}/api/auth/signup`, account)).json() as Promise<Session>
}

t.test('two instances together enforce MAX_TASKS_PER_USER', async (t) => {
  for (const max of [7, 1_005]) {
    const env = await production(t, { MAX_TASKS_PER_USER: String(max), RATE_LIMITS: 'off' })
    const one = await startService(t, env, t.testdir())
    const two = await startService(t, { ...env, MIGRATE_ON_START: 'false' }, t.testdir())
    const [alice, bob] = [await signUp(one.url, 'alice'), await signUp(two.url, 'bob')]
    const db = openPostgres({ url: env['DATABASE_URL'] ?? '', poolSize: 1, onIdleError: () => {} })
    t.teardown(() => db.destroy())
    const there = max - 7
    await sql`insert into tasks (user_id, title) select ${alice.user.id}, 'x' from generate_series(1, ${there}::int)`.execute(
      db,
    )
    const add = ({ url }: { url: string }, { user, token }: Session, key?: string) =>
      fetch(`${url}/api/${user.id}/tasks`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          ...(key ? { 'idempotency-key': key } : {}),
        },
        body: JSON.stringify({ title: 'Buy milk' }),
      })
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, at) => add(at % 2 ? one : two, alice, at % 3 ? undefined : `key-${at}`)),
    )
    const made = answers.filter(({ status }) => status === 201)
    t.equal(made.length, 7)
    t.same([...new Set(answers.map(({ status }) => status))].sort(), [201, 409])
    const { rows } = await sql<{
      count: number
    }>`select count(*) from tasks where user_id = ${alice.user.id}`.execute(db)
    t.same(rows, [{ count: max }])
    t.equal((await add(one, bob)).status, 201)
    const [last] = made
    t.equal(
      (
        await fetch(`${one.url}${last?.headers.get('location')}`, {
          method: 'DELETE',
          headers: { authorization: `Bearer ${alice.token}` },
        })
      ).status,
      204,
    )
    t.same(
      (await Promise.all([add(one, alice), add(two, alice)])).map(({ status }) => status).sort(),
      [201, 409],
      'quota for one more',
    )
    await Promise.all([one.stop('SIGTERM'), two.stop('SIGTERM')])
  }
})

/** Rows read from tables and indexes, by the plan of the statement. */
async function rowsReadBy(db: Db, text: string): Promise<number> {
  const { rows } = await sql<{
    'QUERY PLAN': [{ Plan: PlanNode }]
  }>`explain (analyze, format json) ${sql.raw(text)}`.execute(db)
  const read = (node: PlanNode): number =>
    (node.Plans ?? []).reduce((sum, child) => sum + read(child), 0) +
    (node['Relation Name'] ? node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) : 0)
  return read((rows[0] as { 'QUERY PLAN': [{ Plan: PlanNode }] })['QUERY PLAN'][0].Plan)
}

interface PlanNode {
  readonly Plans?: PlanNode[]
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Rows Removed by Filter'?: number
}

t.test('a list reads one row more than it returns, whatever its filter selects', async (t) => {
  const env = await production(t, { RATE_LIMITS: 'off' })
  const { url } = await startService(t, env, t.testdir())
  const [alice, bob] = [await signUp(url, 'alice'), await signUp(url, 'bob')]
  const db = openPostgres({
    url: env['DATABASE_URL'] ?? '',
    poolSize: 1,
    onIdleError: () => {},
    timeouts: false,
  })
  t.teardown(() => db.destroy())
  // Only Alice has completed tasks: the worst case for the planner's estimate.
  await sql`insert into tasks (user_id, title, completed) select ${alice.user.id}, 'x', true from generate_series(1, 20000)`.execute(
    db,
  )
  await sql`insert into tasks (user_id, title) select ${bob.user.id}, 'x' from generate_series(1, 200000)`.execute(
    db,
  )

  for (const analyzed of [false, true]) {
    if (analyzed) await sql`analyze tasks`.execute(db)
    for (const mode of ['force_custom_plan', 'force_generic_plan']) {
      await sql.raw(`set plan_cache_mode = ${mode}`).execute(db)
      for (const filter of ['true', 'completed = true', 'completed = false']) {
        await sql`deallocate all`.execute(db)
        await sql
          .raw(`prepare page(text, bigint, bigint) as select id, title from tasks
            where user_id = $1 and id > $2 and ${filter} order by id limit $3`)
          .execute(db)
        for (const { user } of [alice, bob]) {
          const read = await rowsReadBy(db, `execute page('${user.id}', 0, 51)`)
          t.ok(read <= 51, `${mode}, analyzed ${analyzed}, ${filter}, ${user.name}: ${read}`)
        }
      }
    }
  }
})
