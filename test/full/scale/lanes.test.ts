import { sql } from 'kysely'
import t from 'tap'
import { isDatabaseUnavailable, lacksUserRow } from '../../../src/db/errors.ts'
import { migratePostgres, openPostgres } from '../../../src/db/postgres.ts'
import tasks from '../../../src/resources/tasks.ts'
import type { OwnerId } from '../../../src/tokens/owner.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'

t.test('pipelined inserts fail independently', async (t) => {
  const { url } = await freshDatabase(t, server)
  await migratePostgres(url)
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {}, prepare: true })
  t.teardown(() => db.destroy())
  const [alice, nobody] = ['alice', 'nobody'] as OwnerId[] as [OwnerId, OwnerId]
  await db.insertInto('users').values({ id: alice, email: 'alice@example.com', name: 'Alice' }).execute()
  const add = (owner: OwnerId, title: string) =>
    tasks.rows.insertOwned(db, owner, { title, description: null, completed: false })

  // In one turn of the event loop: one write to the socket.
  const outcomes = await Promise.allSettled([
    add(alice, 'first'),
    add(nobody, 'refused'),
    add(alice, 'second'),
    add(nobody, 'refused'),
    add(alice, 'third'),
  ])
  t.same(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected') t.ok(lacksUserRow(outcome.reason))
  const page = { limit: 10, after: 0, where: {} }
  const { items } = await tasks.rows.listOwned(db, alice, page)
  t.same(
    items.map((item) => item['title']),
    ['first', 'second', 'third'],
  )
  t.same((await tasks.rows.listOwned(db, nobody, page)).items, [])
})

t.test('slow reads of one user do not exhaust the pool', async (t) => {
  const { url } = await freshDatabase(t, server)
  await migratePostgres(url)
  const db = openPostgres({ url, poolSize: 5, onIdleError: () => {}, prepare: true })
  t.teardown(() => db.destroy())
  const users = ['alice', 'bob'].map((id) => ({ id, email: `${id}@example.com`, name: id }))
  await db.insertInto('users').values(users).execute()
  const bob = 'bob' as OwnerId
  const slowRead = () =>
    db
      .selectFrom('users')
      .select('id')
      .where('id', '=', 'alice')
      .where(sql<boolean>`pg_sleep(0.2) is not null`)
      .execute()

  let stopped = false
  const outcomes = { done: 0, refused: 0 }
  const keepReading = async () => {
    while (!stopped) {
      await slowRead().then(
        () => outcomes.done++,
        (error) => {
          if (!isDatabaseUnavailable(error)) throw error
          outcomes.refused++
        },
      )
    }
  }
  const slow = Promise.all(Array.from({ length: 20 }, keepReading))
  const times: number[] = []
  while (outcomes.done < 20 || times.length < 40) {
    const begun = performance.now()
    await tasks.rows.listOwned(db, bob, { limit: 10, after: 0, where: {} })
    times.push(performance.now() - begun)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  stopped = true
  await slow
  times.sort((a, b) => a - b)
  t.comment(`${times.map((time) => time.toFixed(0)).join(' ')} ${JSON.stringify(outcomes)}`)
  t.ok(
    (times[Math.floor(times.length / 2)] ?? Number.NaN) < 100,
    'the median read of the other user is not delayed',
  )
  t.ok((times.at(-1) ?? Number.NaN) < 1_000, 'no read times out')
})
