import { sql } from 'kysely'
import t from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import type { Position } from '../../../src/feeds/position.ts'
import { readRevocations } from '../../../src/sessions/revocation-pages.ts'
import { migratedDatabase } from '../../helper.ts'

/** Reads all pages as several instances would, each from a serialized position. */
async function readOn(db: Db, from: Position, limit: number) {
  const sessions: string[] = []
  let position = from
  let pages = 0
  do {
    const page = await readRevocations(db, JSON.parse(JSON.stringify(position)), limit)
    sessions.push(
      ...page.revocations.map((revocation) => ('session' in revocation ? revocation.session : '')),
    )
    position = page.position
    pages++
  } while (position.page)
  return { sessions, position, pages }
}

const revoke = (db: Db, from: number, to: number, end = '1 hour') =>
  sql`insert into revocations (session_id, ends_at)
    select 's' || n, now() + ${end}::interval from generate_series(${from}::int, ${to}::int) n`.execute(db)

t.test('reads everything live, then new rows, in pages and without expired ones', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  t.same((await readOn(db, {}, 2)).sessions, [], 'an empty table')
  await revoke(db, 1, 4)
  await revoke(db, 5, 5, '1 minute')
  await revoke(db, 6, 9, '-1 second')
  const all = await readOn(db, {}, 2)
  t.same(all.sessions, ['s5', 's1', 's2', 's3', 's4'])
  t.equal(all.pages, 3)
  t.same((await readOn(db, all.position, 2)).sessions, [])

  await revoke(db, 10, 13)
  await revoke(db, 14, 14)
  const next = await readOn(db, all.position, 2)
  t.same(next.sessions, ['s10', 's11', 's12', 's13', 's14'])
  t.same((await readOn(db, next.position, 2)).sessions, [])
  await sql`update revocations set ends_at = ends_at + interval '1 day' where session_id = 's1'`.execute(db)
  t.same((await readOn(db, next.position, 2)).sessions, ['s1'], 'what was changed is read again')
})

t.test('a revocation between two pages is read after the pass', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  await revoke(db, 1, 4)
  const first = await readRevocations(db, {}, 2)
  await revoke(db, 5, 5, '1 minute')
  const rest = await readOn(db, first.position, 2)
  t.same(rest.sessions, ['s3', 's4'], 'it sorts before what has been read')
  t.same((await readOn(db, rest.position, 2)).sessions, ['s5'])
})

t.test('a position of another database is refused', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  await t.rejects(readRevocations(db, { since: '900000000:900000000:' }), { name: 'PositionLost' })
})
