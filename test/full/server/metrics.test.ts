import { spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { password } from '../../helper.ts'
import { numberOf, samplesOf } from '../../support/exposition.ts'
import { freePort } from '../../support/free-port.ts'
import { ask, post, runCommand, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

const gone = mkdtempSync(join(tmpdir(), 'latchkey-'))

function promtool(args: readonly string[], input = '') {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  return { status, output: `${stdout}${stderr}${error?.message ?? ''}` }
}

t.test('promtool accepts the rules, and their tests pass', async (t) => {
  for (const args of [
    ['check', 'rules', 'deploy/prometheus-rules.yml'],
    ['test', 'rules', 'deploy/prometheus-rules.test.yml'],
  ]) {
    const { status, output } = promtool(args)
    t.equal(status, 0, output)
  }
})

t.test('a process on PostgreSQL and Redis shows its metrics, which promtool accepts', async (t) => {
  const port = await freePort()
  const env = await production(t, {
    METRICS_PORT: String(port),
    REDIS_URL: process.env['TEST_REDIS_URL'] ?? '',
    ALGORITHM: 'ES256',
  })
  const service = await startService(t, env, gone)
  const email = `alice.${Date.now()}@example.com`
  const signup = await post(`${service.url}/api/auth/signup`, { email, password, name: 'Alice' })
  const { token, user } = (await signup.json()) as { token: string; user: { id: string } }
  const headers = { authorization: `Bearer ${token}` }
  await ask(`${service.url}/api/${user.id}/tasks`, { headers })
  const url = `http://127.0.0.1:${port}/metrics`
  const text = await (await fetch(url)).text()
  const { status, output } = promtool(['check', 'metrics'], text)
  t.equal(status, 0, output)
  const samples = samplesOf(text)
  t.equal(numberOf(samples, 'latchkey_redis_up'), 1)
  t.ok((numberOf(samples, 'latchkey_signing_key_age_seconds') ?? -1) >= 0)
  t.ok((numberOf(samples, 'latchkey_db_connections', { pool: 'reads', state: 'idle' }) ?? 0) > 0)
  t.equal(numberOf(samples, 'latchkey_db_connections', { pool: 'transactions', state: 'waiting' }), 0)
  t.ok((numberOf(samples, 'latchkey_revocations_age_seconds') ?? 99) < 10)

  const second = await runCommand(t, { ...env, PORT: '0' }, gone)
  t.same(second, { code: 1, output: `latchkey: METRICS_PORT ${port} is in use; set it to another one\n` })
  await service.stop('SIGTERM')
  await t.rejects(fetch(url), 'the listener closes with the process')
})
