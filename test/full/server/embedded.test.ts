import { join } from 'node:path'
import t from 'tap'
import { ask, post, runCommand, startService } from '../../support/process.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const credentials = { email: 'test@example.com', password: 'password123' }
const user = { ...credentials, name: 'Test User' }

t.test('on the embedded database', async (t) => {
  const cwd = t.testdir()
  seedDataFolder(join(cwd, 'data'))
  // A machine under load delays the event loop during the start.
  const first = await startService(t, { MAX_EVENT_LOOP_DELAY_MS: '0' }, cwd)

  await t.test('the banner lists addresses, folder, mode and what production requires', async (t) => {
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

  await t.test('the files of /docs are served from the bundle', async (t) => {
    const paths = [
      '',
      '/json',
      '/yaml',
      '/static/swagger-ui-bundle.js',
      '/static/swagger-ui.css',
      '/static/index.css',
    ]
    for (const path of [...paths, '/static/swagger-initializer.js', '/static/favicon-32x32.png']) {
      t.equal((await fetch(`${first.url}/docs${path}`)).status, 200, path)
    }
  })

  const signup = await post(`${first.url}/api/auth/signup`, user)
  t.equal(signup.status, 201)
  const { token, user: account } = (await signup.json()) as { token: string; user: { id: string } }

  await t.test('a second process on the same DATA_DIR is refused and changes nothing', async (t) => {
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
    // The generated secret is kept: an access token issued before the kill is valid.
    const list = await ask(`${again.url}/api/${account.id}/tasks`, {
      headers: { authorization: `Bearer ${token}` },
    })
    t.same(
      ((await list.json()) as { title: string }[]).map((task) => task.title),
      titles,
    )
    t.same(await again.stop('SIGTERM'), { code: 0, signal: null }, 'SIGTERM drains and exits 0')
  })

  await t.test('Ctrl-C drains: requests received before it are answered, the exit code is 0', async (t) => {
    const service = await startService(t, { RATE_LIMITS: 'off' }, cwd)
    const logins = Array.from({ length: 10 }, () => post(`${service.url}/api/auth/login`, credentials))
    // After the first answer all requests have been received: their hashes are queued behind it.
    await Promise.race(logins)
    const [ended, ...answers] = await Promise.all([service.stop('SIGINT'), ...logins])
    t.same(ended, { code: 0, signal: null })
    t.same([...new Set(answers.map((answer) => answer.status))], [200])
  })
})
