import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand, startService } from '../process.ts'
import { seedDataFolder } from '../snapshot.ts'

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com',
}

t.test('a .env file is read, and the environment wins over it', async (t) => {
  const cwd = t.testdir()
  writeFileSync(join(cwd, '.env'), 'LOG_LEVEL=loud\nPORT=99999\n')
  const { code, output } = await runCommand(t, { LOG_LEVEL: 'silent', PORT: '1000000' }, cwd)
  t.equal(code, 1)
  t.equal(output, 'latchkey: PORT must be a whole number from 0 to 65535\n')
})

t.test(
  'A07, J21: production does not start on a missing or weak value, and says which in one line',
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

t.test('an unknown command and a port in use are told in one line', async (t) => {
  const cwd = t.testdir()
  t.match(await runCommand(t, {}, cwd, 'sevre'), {
    code: 1,
    output:
      /^latchkey: usage: serve \| migrate \| keys list \| keys rotate \[--now\] \| import <file> \[--report <file>\]\n$/,
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
