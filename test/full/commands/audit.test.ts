import { join } from 'node:path'
import t from 'tap'
import { openEmbedded } from '../../../src/db/embedded.ts'
import { sealKeys } from '../../../src/event-seals/seal.ts'
import { sealEvents } from '../../../src/event-seals/sealing.ts'
import { secret } from '../../helper.ts'
import { runCommand } from '../../support/process.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

t.test('`audit verify` is a command', async (t) => {
  const cwd = t.testdir()
  seedDataFolder(join(cwd, 'data'))
  const db = await openEmbedded(join(cwd, 'data'), () => {})
  await db
    .insertInto('security_events')
    .values({ event: 'login', user_id: 'u', session_id: null, ip: null })
    .execute()
  const [made] = await sealEvents(db, sealKeys(secret, undefined))
  await db.destroy()
  const audit = (env: Record<string, string>, ...args: string[]) =>
    runCommand(t, { SECRET_KEY: secret, ...env }, cwd, 'audit', ...args)

  t.same(await audit({}, 'verify', '--last', made?.seal ?? ''), {
    code: 0,
    output: `verified 1 seal with 1 event: no fault\nlast seal ${made?.seal}\n`,
  })
  const cut = `7.${'A'.repeat(43)}`
  t.match(await audit({}, 'verify', '--last', cut), {
    code: 1,
    output: /^seal 7: missing, and what came after it$/m,
  })
  t.match(await audit({ SECRET_KEY: 'k'.repeat(20) + secret }, 'verify'), {
    code: 1,
    output: /^seal 1: does not verify under SECRET_KEY.*\n(?:.*\n)*verified 1 seal with 0 events: 1 fault$/m,
  })
  t.match(await audit({}, 'verify', '--last', 'x'), {
    code: 1,
    output: /^latchkey: --last must be a seal of the log/,
  })
  for (const args of [[], ['list'], ['verify', 'x'], ['verify', '--last'], ['verify', '--first', 'x']])
    t.match(await audit({}, ...args), {
      code: 1,
      output: /^latchkey: usage: .*audit verify \[--last <seal>\]/,
    })
})
