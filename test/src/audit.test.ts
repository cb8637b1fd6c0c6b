import t from 'tap'
import { EventBuffer } from '../../src/audit.ts'
import { twoUsers } from '../helper.ts'

t.test('pending events are bounded, and each is logged', async (t) => {
  const { app, alice } = await twoUsers(t)
  let lines = 0
  const log = { info: () => lines++, warn: () => lines++ }
  const events = new EventBuffer(app.db, log)
  for (let n = 0; n < 1_500; n++) events.note({ event: 'login_failed', userId: alice.id })
  await events.flush()
  t.equal(lines, 1_500)
  const rows = await app.db
    .selectFrom('security_events')
    .select('id')
    .where('event', '=', 'login_failed')
    .execute()
  t.equal(rows.length, 1_000)
})
