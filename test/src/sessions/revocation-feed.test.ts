import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Listener } from '../../../src/db/listen.ts'
import { RevocationFeed } from '../../../src/sessions/revocation-feed.ts'
import { Revocations } from '../../../src/sessions/revocations.ts'
import { migratedDatabase } from '../../helper.ts'

/** A feed without polls, whose notifications the test sends. */
async function stoppedFeed(t: Test) {
  let reads = 0
  let failing = 0
  let failures = 0
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      reads++
      if (reads === failing) throw new Error('canceling statement due to statement timeout')
      return result
    },
  })
  const revocations = new Revocations(() => Date.now() / 1000)
  let listener: Listener | undefined
  const feed = new RevocationFeed({
    db,
    revocations,
    listen: (_channel, given) => {
      listener = given
      return async () => {}
    },
    pollSeconds: 60,
    onError: (error) => {
      if (failing === 0) t.error(error)
      failures++
    },
  })
  t.teardown(async () => {
    await feed.stop()
    await db.destroy()
  })
  return {
    db,
    revocations,
    feed,
    announce: (payload: string) => listener?.onMessage(payload),
    reconnect: () => listener?.onConnect(),
    reads: () => reads,
    /** Fails the n-th read from now. @returns failures so far */
    failAt: (read: number) => {
      failing = reads + read
      return () => failures
    },
  }
}

async function listeningFeed(t: Test) {
  const stopped = await stoppedFeed(t)
  await stopped.feed.start()
  stopped.reconnect()
  return stopped
}

const hour = 3_600_000
const row = {
  session_id: 'session_1',
  user_id: null,
  created_at: new Date().toISOString(),
  ends_at: new Date(Date.now() + hour).toISOString(),
}

t.test('a notified revocation is applied without a query', async (t) => {
  const { revocations, announce, reads } = await listeningFeed(t)
  const before = reads()
  announce(JSON.stringify(row))
  announce(JSON.stringify({ ...row, session_id: null, user_id: 'user_1' }))
  t.equal(revocations.size, 2)
  t.equal(reads(), before)
})

t.test('an unknown notification triggers a read, and revokes nothing', async (t) => {
  const { db, revocations, announce } = await listeningFeed(t)
  const notOurs = [
    '',
    'x',
    'null',
    '1',
    '"text"',
    '[]',
    '{}',
    { ...row, session_id: undefined },
    { ...row, session_id: null },
    { ...row, session_id: 1 },
    { ...row, session_id: { $ne: '' } },
    { ...row, user_id: 'user_1' },
    { ...row, ends_at: 'tomorrow' },
    { ...row, ends_at: 4_000_000_000_000 },
    { ...row, created_at: null },
  ]
  for (const [at, payload] of notOurs.entries()) {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    await db
      .insertInto('revocations')
      .values({ session_id: `session_of_${at}`, ends_at: row.ends_at })
      .execute()
    announce(text)
    while (revocations.size <= at) await setImmediate()
    t.equal(revocations.size, at + 1, text)
  }
})

t.test('a flood of unknown notifications causes one read at a time', async (t) => {
  const { db, revocations, announce, reads } = await listeningFeed(t)
  const before = reads()
  for (let at = 0; at < 100; at++) announce('x')
  await db.insertInto('revocations').values({ session_id: 'session_1', ends_at: row.ends_at }).execute()
  announce('x')
  while (revocations.size === 0) await setImmediate()
  t.ok(reads() - before <= 5, `${reads() - before}`)
})

t.test('a failed page is read again, and none before it', async (t) => {
  const { db, revocations, feed, announce, failAt, reads } = await stoppedFeed(t)
  await sql`insert into revocations (session_id, ends_at)
    select 's' || n, now() + interval '1 hour' from generate_series(1, 9000) n`.execute(db)
  const failures = failAt(3)
  await feed.start()
  t.equal(failures(), 1)
  t.equal(revocations.size, 4_000, 'what was read is kept')
  t.equal(revocations.current, false)
  const before = reads()
  announce('read')
  while (!revocations.current) await setImmediate()
  t.equal(revocations.size, 9_000)
  t.equal(revocations.current, true)
  // The three remaining pages, and the new rows.
  t.equal(reads() - before, 4)
})

t.test('after a reconnect everything is read again, without blocking requests', async (t) => {
  const { db, revocations, announce, reconnect, reads } = await listeningFeed(t)
  await sql`insert into revocations (session_id, ends_at)
    select 's' || n, now() + interval '1 hour' from generate_series(1, 5000) n`.execute(db)
  announce('read')
  while (revocations.size < 5_000) await setImmediate()
  // As on a lagging replica: changed by a transaction id that was read already.
  await sql`alter table revocations disable trigger latchkey_stamp`.execute(db)
  await sql`insert into revocations (session_id, ends_at, xid) values ('late', now() + interval '1 hour', '5')`.execute(
    db,
  )
  await sql`alter table revocations enable trigger latchkey_stamp`.execute(db)
  announce('read')
  const before = reads()
  reconnect()
  t.equal(revocations.current, true)
  while (revocations.size < 5_001) await setImmediate()
  t.ok(reads() - before >= 4)
})
