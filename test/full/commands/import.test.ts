import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { importOptions } from '../../../src/commands/import.ts'
import { post, runCommand, startCommand, startService } from '../../support/process.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const bcrypt = '$2b$04$2JeeODNxcoy2ocGBpPcEDOi0ugaHJZTWaMHdb2yBGoEVZ6JVuEPri'
const lines = [
  { id: 'one', email: 'one@example.com', password_hash: bcrypt },
  { id: 'two', email: 'secret address', password_hash: bcrypt },
  { id: 'three', email: 'three@example.com', password_hash: 'secret word' },
]
const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('')
const refusals = [
  'line 2: email is not an address that an account can have\n',
  'line 3: password_hash is of no form that can be verified\n',
].join('')

t.test('users are imported while the service is stopped, and log in when it runs', async (t) => {
  const cwd = t.testdir({ 'users.jsonl': text })
  const report = () => readFileSync(join(cwd, 'report.txt'), 'utf8')
  seedDataFolder(join(cwd, 'data'))
  t.same(await runCommand(t, {}, cwd, 'import', 'users.jsonl'), {
    code: 1,
    output: `${refusals}imported 1, already there 0, refused 2\n`,
  })
  t.same(await runCommand(t, {}, cwd, 'import', '--report', 'report.txt', 'users.jsonl'), {
    code: 1,
    output: 'imported 0, already there 1, refused 2\n',
  })
  t.equal(report(), refusals)
  const fromStdin = startCommand(t, {}, cwd, 'import', '-', '--report=report.txt')
  fromStdin.feed('{"email":"four@example.com"}\n')
  t.same(await fromStdin.ended, { code: 0, output: 'imported 1, already there 0, refused 0\n' })
  t.equal(report(), '')

  const service = await startService(t, {}, cwd)
  const credentials = { email: 'one@example.com', password: 'password123' }
  const login = await post(`${service.url}/api/auth/login`, credentials)
  t.equal(login.status, 200)
  t.match(await login.json(), { user: { id: 'one', name: 'one' } })
  await service.stop('SIGTERM')
})

t.test('import takes one file, and --report', (t) => {
  t.same(importOptions(['x']), { file: 'x', report: undefined })
  t.same(importOptions(['-', '--report', 'y']), { file: '-', report: 'y' })
  t.same(importOptions(['--report=y', '--', '--x']), { file: '--x', report: 'y' })
  for (const args of [[], [''], ['x', 'y'], ['x', '--report'], ['x', '--report='], ['--repotr', 'y', 'x']]) {
    t.equal(importOptions(args), undefined, args.join(' '))
  }
  t.end()
})

t.test('a failed import is reported in one line, and changes no file', async (t) => {
  const cwd = t.testdir({ 'users.jsonl': text, folder: {} })
  const run = (...args: string[]) => runCommand(t, {}, cwd, 'import', ...args)
  t.match(await run(), {
    code: 1,
    output: /^latchkey: usage: serve \| .*\n$/,
  })
  t.same(await run('none.jsonl'), {
    code: 1,
    output: "latchkey: cannot start: ENOENT: no such file or directory, open 'none.jsonl'\n",
  })
  t.same(await run('users.jsonl', '--report', './folder/../users.jsonl'), {
    code: 1,
    output: 'latchkey: --report must not name the file that is read\n',
  })
  t.equal(readFileSync(join(cwd, 'users.jsonl'), 'utf8'), text)
})
