import t from 'tap'
import { post, runCommand, startService } from '../process.ts'
import { production } from './production.ts'

t.test('J15: two instances that start at once on an empty database both serve', async (t) => {
  const env = await production(t)
  const cwd = t.testdir()
  const [one, two] = await Promise.all([startService(t, env, cwd), startService(t, env, cwd)])

  const signup = await post(`${one.url}/api/auth/signup`, {
    email: 'test@example.com',
    password: 'password123',
    name: 'Test User',
  })
  t.equal(signup.status, 201)
  const { token, user } = (await signup.json()) as { token: string; user: { id: string } }
  const list = await fetch(`${two.url}/api/${user.id}/tasks`, {
    headers: { authorization: `Bearer ${token}` },
  })
  t.equal(list.status, 200, 'the other instance knows the token')
  for (const service of [one, two]) {
    t.equal((await fetch(`${service.url}/health/ready`)).status, 200)
    t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
  }
})

t.test('MIGRATE_ON_START=false waits for the migrate command', async (t) => {
  const env = { ...(await production(t)), MIGRATE_ON_START: 'false' }
  const cwd = t.testdir()
  t.match(await runCommand(t, env, cwd), { code: 1, output: /^latchkey: the database schema is behind/ })
  t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: /^applied 0001_accounts_and_tasks/ })
  t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: 'the schema is up to date\n' })
  const service = await startService(t, env, cwd)
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
})
