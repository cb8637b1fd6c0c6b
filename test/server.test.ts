import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { post, runCommand, startService } from './process.ts'
import { seedDataFolder } from './snapshot.ts'

const credentials = { email: 'test@example.com', password: 'password123' }
const user = { ...credentials, name: 'Test User' }
const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com',
}

t.test('on the embedded database', async (t) => {
  const cwd = t.testdir()
  const first = await startService(t, {}, cwd)

  await t.test('the banner says what runs and what production wants', async (t) => {
    const banner = first.output()
    for (const words of [
      `${first.url}/docs`,
      './data',
      'development mode',
      'DATABASE_URL, SECRET_KEY',
      'PUBLIC_URL',
    ]) {
      t.ok(banner.includes(words), words)
    }
  })

  const signup = await post(`${first.url}/api/auth/signup`, user)
  t.equal(signup.status, 201)
  const { token, user: account } = (await signup.json()) as { token: string; user: { id: string } }

  await t.test('a second process on the same folder is refused by name and harms nothing', async (t) => {
    const second = await runCommand(t, {}, cwd)
    t.equal(second.code, 1)
    t.match(second.output, /^latchkey: DATA_DIR \.\/data is in use by another process.*\n$/)
  })

  await t.test('kill -9 loses nothing acknowledged and leaves no lock behind', async (t) => {
    const titles = Array.from({ length: 20 }, (_, index) => `task ${index}`)
    for (const title of titles) {
      t.equal((await post(`${first.url}/api/${account.id}/tasks`, { title }, token)).status, 201)
    }
    t.same(await first.stop('SIGKILL'), { code: null, signal: 'SIGKILL' })

    const again = await startService(t, {}, cwd)
    const login = await post(`${again.url}/api/auth/login`, credentials)
    t.equal(login.status, 200)
    // The secret in the data folder is the same one too: the token from before still works.
    const list = await fetch(`${again.url}/api/${account.id}/tasks`, {
      headers: { authorization: `Bearer ${token}` },
    })
    t.same(
      ((await list.json()) as { title: string }[]).map((task) => task.title),
      titles,
    )
    t.same(await again.stop('SIGTERM'), { code: 0, signal: null }, 'SIGTERM drains and exits 0')
  })

  await t.test('J11: Ctrl-C drains: what was asked before it is answered, and the exit is 0', async (t) => {
    const service = await startService(t, { RATE_LIMITS: 'off' }, cwd)
    const logins = Array.from({ length: 10 }, () => post(`${service.url}/api/auth/login`, credentials))
    // The first answer tells that the others have arrived: their hashes are queued behind it.
    await Promise.race(logins)
    const [ended, ...answers] = await Promise.all([service.stop('SIGINT'), ...logins])
    t.same(ended, { code: 0, signal: null })
    t.same([...new Set(answers.map((answer) => answer.status))], [200])
  })
})

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
    output: /^latchkey: usage: serve \| migrate \| keys list \| keys rotate \[--now\]\n$/,
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
