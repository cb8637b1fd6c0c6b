import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand, startService } from '../../support/process.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com',
}

t.test('a .env file is read, and the environment overrides it', async (t) => {
  const cwd = t.testdir()
  writeFileSync(join(cwd, '.env'), 'LOG_LEVEL=loud\nPORT=99999\n')
  const { code, output } = await runCommand(t, { LOG_LEVEL: 'silent', PORT: '1000000' }, cwd)
  t.equal(code, 1)
  t.equal(output, 'latchkey: PORT must be a whole number from 0 to 65535\n')
})

t.test('a .env file with a byte order mark is read from its first line on', async (t) => {
  const cwd = t.testdir()
  writeFileSync(join(cwd, '.env'), '\ufeffNODE_ENV=production\nRATE_LIMIT=off\nHOST 0.0.0.0\n')
  const { code, output } = await runCommand(t, {}, cwd)
  t.equal(code, 1)
  t.same(output.split('\n'), [
    'latchkey: warning: .env line 2: RATE_LIMIT is not read: did you mean RATE_LIMITS?',
    'latchkey: warning: .env line 3: not an assignment, and ignored',
    'latchkey: DATABASE_URL must be set when NODE_ENV=production',
    'latchkey: SECRET_KEY must be set when NODE_ENV=production',
    'latchkey: PUBLIC_URL must be set when NODE_ENV=production',
    '',
  ])
})

t.test('a .env file that cannot be read ends the start in one line', async (t) => {
  const cwd = t.testdir({ folder: { '.env': {} } })
  writeFileSync(join(cwd, '.env'), Buffer.from('\ufeffPORT=1\n', 'utf16le'))
  const utf16 = await runCommand(t, {}, cwd)
  t.same(utf16, { code: 1, output: 'latchkey: .env must be saved as UTF-8, and is UTF-16 or not a text\n' })
  const folder = await runCommand(t, {}, join(cwd, 'folder'))
  t.same(folder, { code: 1, output: 'latchkey: .env cannot be read (EISDIR)\n' })
})

t.test('an unusable HOST or DATA_DIR ends the start with one line that names it', async (t) => {
  const cwd = t.testdir({ file: '' })
  seedDataFolder(join(cwd, 'data'))
  const outputOf = async (env: Record<string, string>) => (await runCommand(t, env, cwd)).output
  t.match(
    await outputOf({ HOST: '192.0.2.1' }),
    /^latchkey: HOST must be an address or a name of this machine \(\w+\)\n$/,
  )
  t.match(
    await outputOf({ HOST: 'no such host' }),
    /^latchkey: HOST must be an address or a name of this machine \(\w+\)\n$/,
  )
  t.match(await outputOf({ DATA_DIR: 'file' }), /^latchkey: DATA_DIR file is not a folder\n$/)
  t.match(
    await outputOf({ DATA_DIR: 'file', SECRET_KEY: production.SECRET_KEY }),
    /^latchkey: DATA_DIR file is not a folder\n$/,
  )
})

t.test(
  'production does not start with a missing or weak value, and names it in one line (A07, J21)',
  async (t) => {
    const cwd = t.testdir()
    for (const name of ['DATABASE_URL', 'SECRET_KEY', 'PUBLIC_URL'] as const) {
      const { [name]: _, ...env } = production
      const { code, output } = await runCommand(t, env, cwd)
      t.equal(code, 1, name)
      t.equal(output, `latchkey: ${name} must be set when NODE_ENV=production\n`)
    }
    const weak = 'only-thirty-one-bytes-long-heh!'
    const { code, output } = await runCommand(t, { ...production, SECRET_KEY: weak }, cwd)
    t.equal(code, 1)
    t.match(output, /^latchkey: SECRET_KEY must be at least 32 bytes.*\n$/)
    t.notOk(output.includes(weak))
  },
)

t.test('an unknown command and a port in use are reported in one line', async (t) => {
  const cwd = t.testdir()
  t.match(await runCommand(t, {}, cwd, 'sevre'), {
    code: 1,
    output: /^latchkey: usage: serve \| .*\n$/,
  })
  for (const folder of ['one', 'two']) seedDataFolder(join(cwd, folder))
  const service = await startService(t, { DATA_DIR: 'one' }, cwd)
  const { port } = new URL(service.url)
  const second = await runCommand(t, { DATA_DIR: 'two', PORT: port }, cwd)
  t.match(second, {
    code: 1,
    output: new RegExp(`^latchkey: port ${port} is in use; set PORT to another one\n$`),
  })
})
