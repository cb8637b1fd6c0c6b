import { join } from 'node:path'
import t from 'tap'
import { runCommand, startService } from '../../support/process.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const env = { ALGORITHM: 'EdDSA' }
const kid = '[\\w-]{43}'
const time = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.000Z'

t.test('the signing keys are listed and rotated while the service is stopped', async (t) => {
  const cwd = t.testdir()
  const keys = (...args: string[]) => runCommand(t, env, cwd, 'keys', ...args)
  seedDataFolder(join(cwd, 'data'))
  const service = await startService(t, env, cwd)
  t.match(await keys('list'), {
    code: 1,
    output: /^latchkey: DATA_DIR \.\/data is in use by another process.*\n$/,
  })
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null }, 'the timer does not hold the process')

  const states = async () => {
    const { code, output } = await keys('list')
    t.equal(code, 0)
    const [head, ...rows] = output.trimEnd().split('\n')
    t.match(head, /^kid +algorithm {2}state +signs_from +ends$/)
    const row = new RegExp(`^${kid}  EdDSA +(next|signing|verifying) +${time}  (${time}|-)$`)
    return rows.map((line) => row.exec(line)?.[1] ?? line)
  }
  t.match(await keys('rotate'), { code: 0, output: new RegExp(`^key ${kid} signs from ${time}\n$`) })
  t.same(await states(), ['signing', 'next'])
})

t.test('an invalid command is reported in one line', async (t) => {
  const cwd = t.testdir()
  const usage = /^latchkey: usage: serve \| .*\n$/
  for (const args of [['keys'], ['keys', 'lst'], ['keys', 'list', 'x'], ['keys', 'rotate', '--new']]) {
    t.match(await runCommand(t, env, cwd, ...args), { code: 1, output: usage }, args.join(' '))
  }
  t.match(await runCommand(t, {}, cwd, 'keys', 'rotate'), {
    code: 1,
    output: /^latchkey: ALGORITHM=HS256 signs with SECRET_KEY: there are no keys to list or rotate\n$/,
  })
})
