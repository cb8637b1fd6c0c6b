import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Listener } from '../../src/db/listen.ts'
import { RevocationFeed } from '../../src/sessions/revocation-feed.ts'
import { Revocations } from '../../src/sessions/revocations.ts'
import { migratedDatabase } from '../helper.ts'

/** A feed that a test announces to, and that polls too late to matter. */
async function listeningFeed(t: Test) {
  let reads = 0
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      reads++
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
    onError: (error) => t.error(error),
  })
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    await db.destroy()
  })
  const announce = (payload: string) => listener?.onMessage(payload)
  return { db, revocations, announce, reads: () => reads }
}

const hour = 3_600_000
const row = {
  session_id: 'session_1',
  user_id: null,
  created_at: new Date().toISOString(),
  ends_at: new Date(Date.now() + hour).toISOString(),
}

t.test('what is announced is known without a query', async (t) => {
  const { revocations, announce, reads } = await listeningFeed(t)
  const before = reads()
  announce(JSON.stringify(row))
  announce(JSON.stringify({ ...row, session_id: null, user_id: 'user_1' }))
  t.equal(revocations.size, 2)
  t.equal(reads(), before)
})

t.test('what is no announcement has everything read again, and ends nothing', async (t) => {
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

t.test('a flood of what is no announcement is answered by one reading at a time', async (t) => {
  const { db, revocations, announce, reads } = await listeningFeed(t)
  const before = reads()
  for (let at = 0; at < 100; at++) announce('x')
  await db.insertInto('revocations').values({ session_id: 'session_1', ends_at: row.ends_at }).execute()
  announce('x')
  while (revocations.size === 0) await setImmediate()
  t.ok(reads() - before <= 5, `${reads() - before}`)
})
