import t from 'tap'
import { violatesForeignKey } from '../../src/db/errors.ts'
import { migratePostgres, openPostgres } from '../../src/db/postgres.ts'
import { insertOwnedTask, listOwnedTasks } from '../../src/tasks/repository.ts'
import type { OwnerId } from '../../src/tokens/owner.ts'
import { freshDatabase } from '../postgres.ts'
import { server } from './production.ts'

t.test('of new rows that share a connection, one that is refused takes no other along', async (t) => {
  const { url } = await freshDatabase(t, server)
  await migratePostgres(url)
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {}, prepare: true })
  t.teardown(() => db.destroy())
  const [alice, nobody] = ['alice', 'nobody'] as OwnerId[] as [OwnerId, OwnerId]
  await db.insertInto('users').values({ id: alice, email: 'alice@example.com', name: 'Alice' }).execute()
  const add = (owner: OwnerId, title: string) =>
    insertOwnedTask(db, owner, { title, description: null, completed: false })

  // In one turn of the event loop, and so in one write.
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
  for (const outcome of outcomes) if (outcome.status === 'rejected') t.ok(violatesForeignKey(outcome.reason))
  const page = { limit: 10, after: 0, completed: undefined }
  const { tasks } = await listOwnedTasks(db, alice, page)
  t.same(
    tasks.map(({ title }) => title),
    ['first', 'second', 'third'],
  )
  t.same((await listOwnedTasks(db, nobody, page)).tasks, [])
})
