import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { newClient } from '../../../src/commands/clients.ts'
import { load } from '../../support/load-config.ts'
import { digestOf } from '../../support/service-client.ts'

t.test(
  'clients new prints a secret once, and the entry of its hash, without any configuration',
  async (t) => {
    const cwd = mkdtempSync(join(tmpdir(), 'latchkey-'))
    const server = resolve('dist/src/server.js')
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [server, 'clients', 'new', 'gateway', 'introspect', 'a:b'],
      { cwd, env: { PATH: process.env['PATH'], NODE_ENV: 'production' } },
    )
    const [, secret = '', entry = ''] = /^secret {2}([\w-]{43})\nentry {3}(\{.*\})\n$/.exec(stdout) ?? []
    t.same(load({ SERVICE_CLIENTS: `[${entry}]` }).serviceClients, [
      { id: 'gateway', secretSha256: [digestOf(secret)], scopes: ['introspect', 'a:b'] },
    ])
    t.match(stderr, /not shown again/)
    t.notOk(stderr.includes(secret))
    t.same(readdirSync(cwd), [], 'it writes no file')
  },
)

t.test('clients new makes another 256-bit secret each time', async (t) => {
  const [first, second] = [newClient(['gateway']), newClient(['gateway'])]
  t.not(first.secret, second.secret)
  t.equal(Buffer.from(first.secret, 'base64url').length, 32)
  t.match(first.entry, /"scopes":\[\]\}$/)
})

t.test('clients new refuses what the configuration would refuse', async (t) => {
  const refused: [string[], RegExp][] = [
    [[], /^clients new: id must be a lower-case letter/],
    [['Gateway'], /^clients new: id must be/],
    [['gateway', 'a b'], /^clients new: scopes\[0\] must be/],
    [['gateway', 'a', 'a'], /^clients new: scopes must be/],
  ]
  for (const [args, message] of refused) t.throws(() => newClient(args), { name: 'ConfigError', message })
})
