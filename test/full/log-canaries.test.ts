import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { budgets } from '../../src/limits/budgets.ts'
import { migratedDatabase, secret, testApp } from '../helper.ts'
import { Authenticator } from '../support/authenticator.ts'
import { mailServer } from '../support/smtp.ts'

/** A unique text. */
const canary = (name: string) => `${name} ${randomBytes(12).toString('hex')}`

/** Tables in which writes are made to fail. */
const tables = [
  'users',
  'sessions',
  'tasks',
  'security_events',
  'one_time_tokens',
  'mail_outbox',
  'totp_factors',
  'api_keys',
] as const

t.test('no secret is in the log at level trace or in an error response, whatever fails (I04)', async (t) => {
  const lines: string[] = []
  const refusals: string[] = []
  const secrets = new Set([secret, '$argon2', canary('smtp'), canary('redis'), canary('cookie')])
  const [, , smtpPassword = '', redisPassword = '', cookie = ''] = secrets

  let refusing = false
  const accept = async () => (refusing ? new Error('the mailbox is full') : null)
  const server = await mailServer(t, {
    accept,
    disabledCommands: ['STARTTLS'],
    onAuth: (auth, _, done) => {
      done(null, { user: auth.username })
    },
  })
  const db = await migratedDatabase(t)
  const app = await testApp(t, {
    db,
    log: (line) => lines.push(line),
    env: {
      LOG_LEVEL: 'trace',
      SMTP_URL: `smtp://latchkey:${encodeURIComponent(smtpPassword)}@127.0.0.1:${server.port}`,
      REDIS_URL: `redis://:${encodeURIComponent(redisPassword)}@127.0.0.1:1`,
      RATE_LIMITS: 'on',
      ...Object.fromEntries(
        Object.keys(budgets).map((name) => [`RATE_LIMIT_${name.toUpperCase()}`, '9999/1m']),
      ),
    },
  })

  async function send(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    body?: object,
    token?: string,
  ) {
    const answer = await app.inject({
      method,
      url,
      ...(body ? { payload: body } : {}),
      headers: {
        cookie: `session=${cookie}`,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    })
    if (answer.statusCode >= 400) refusals.push(answer.body)
    const isJson = /[/+]json\b/.test(String(answer.headers['content-type']))
    const given = isJson && answer.body.startsWith('{') ? answer.json() : {}
    for (const name of ['token', 'refresh_token', 'key', 'mfa_token', 'secret', 'otpauth_uri'])
      if (given[name]) secrets.add(given[name])
    for (const code of given.recovery_codes ?? []) secrets.add(code)
    // The client gets it to go on with.
    if (given.mfa_token) refusals.pop()
    return { status: answer.statusCode, given }
  }
  const fresh = (name: string) => {
    const made = canary(name)
    secrets.add(made)
    return made
  }
  /** The token in the newest mail, after all due ones were sent. */
  async function mailed() {
    await app.mailWorker?.settled()
    const [, token = ''] =
      server.mails.map(({ text }) => /#token=([\w-]+)/.exec(text)).findLast(Boolean) ?? []
    if (token) secrets.add(token)
    return token
  }

  /** Every flow once, valid and invalid, even after earlier steps have failed. */
  async function everything(name: string, known?: { email: string; password: string }) {
    const email = known?.email ?? `${name}@example.com`
    const first = known?.password ?? fresh('password')
    const statuses: number[] = []
    const step = async (...request: Parameters<typeof send>) => {
      const { status, given } = await send(...request)
      statuses.push(status)
      return given
    }
    const made = await step('POST', '/api/auth/signup', { email, password: first, name })
    await step('POST', '/api/auth/email/verify', { token: (await mailed()) || fresh('token') })
    const opened = await step('POST', '/api/auth/login', { email, password: first })
    const { token = made.token ?? fresh('token'), refresh_token, user } = opened.token ? opened : made
    await step('POST', '/api/auth/login', { email, password: fresh('wrong') })
    await step('POST', '/api/auth/login', {
      email,
      password: fresh('wrong'),
      [fresh('field')]: fresh('value'),
    })
    await step('GET', `/api/auth/me?access_token=${token}`, undefined, token)
    await step('GET', '/api/auth/me', undefined, `${token}x`)
    await step('GET', '/api/auth/sessions', undefined, token)
    await step('GET', '/api/auth/me/export', undefined, token)
    const tasks = `/api/${user?.id ?? name}/tasks`
    await step('POST', tasks, { title: fresh('title'), description: fresh('description') }, token)
    await step('GET', tasks, undefined, token)
    const wanted = { name: fresh('key'), scopes: ['tasks:read'], expires_in_days: 1 }
    const { id, key = fresh('key') } = await step('POST', '/api/auth/keys', wanted, token)
    await step('GET', tasks, undefined, key)
    await step('GET', `${tasks}?access_token=${key}`, undefined, key)
    await step('GET', tasks, undefined, `${key.slice(0, -1)}-`)
    await step('GET', '/api/auth/me', undefined, key)
    await step('GET', '/api/auth/keys', undefined, token)
    await app.keyUses.flush()
    await step('DELETE', `/api/auth/keys/${id}`, undefined, token)
    await step('GET', tasks, undefined, key)
    await step('POST', '/api/auth/refresh', { refresh_token: refresh_token ?? fresh('token') })
    await step('POST', '/api/auth/refresh', { refresh_token: `${refresh_token}x` })
    await step('POST', '/api/auth/email/resend', { email })
    const changed = fresh('changed')
    await step(
      'PUT',
      '/api/auth/password',
      { current_password: fresh('wrong'), new_password: changed },
      token,
    )
    await step('PUT', '/api/auth/password', { current_password: first, new_password: changed }, token)
    await step('POST', '/api/auth/password/forgot', { email })
    const reset = (await mailed()) || fresh('token')
    const chosen = fresh('chosen')
    await step('POST', '/api/auth/password/reset', { token: reset, new_password: chosen })
    await step('POST', '/api/auth/password/reset', { token: reset, new_password: chosen })
    const { token: factorToken = token } = await step('POST', '/api/auth/login', { email, password: chosen })
    const { secret: seed = '' } = await step('POST', '/api/auth/mfa/totp', { password: chosen }, factorToken)
    const present = new Authenticator(seed).code()
    const confirm = '/api/auth/mfa/totp/confirm'
    await step('POST', confirm, { code: fresh('code') }, factorToken)
    const { recovery_codes: codes = [] } = await step('POST', confirm, { code: present }, factorToken)
    const [one = fresh('code'), another = fresh('code')] = codes
    const { mfa_token = fresh('token') } = await step('POST', '/api/auth/login', { email, password: chosen })
    await step('POST', '/api/auth/login/second-factor', { mfa_token, code: fresh('code') })
    await step('POST', '/api/auth/login/second-factor', { mfa_token, code: one })
    await step('POST', '/api/auth/reauthenticate', { password: chosen, code: fresh('code') }, factorToken)
    await step('POST', '/api/auth/mfa/totp/delete', { code: another }, factorToken)
    await step('POST', '/api/auth/logout', { scope: 'all' }, token)
    const last = await step('POST', '/api/auth/login', { email, password: chosen })
    await step('PUT', '/api/auth/email', { new_email: `new.${email}`, password: chosen }, last.token ?? token)
    await mailed()
    if (last.refresh_token) {
      await step('POST', '/api/auth/refresh', { refresh_token: last.refresh_token })
      const next = await step('POST', '/api/auth/refresh', { refresh_token: last.refresh_token })
      await step('POST', '/api/auth/refresh', { refresh_token: next.refresh_token })
      await db.updateTable('sessions').set({ last_used_at: '2000-01-01T00:00:00Z' }).execute()
      await step('POST', '/api/auth/refresh', { refresh_token: last.refresh_token })
    }
    await step('POST', '/api/auth/me/delete', { password: fresh('wrong') }, last.token ?? token)
    await app.mailWorker?.settled()
    return statuses
  }

  const statuses = await everything('alice')
  t.ok(statuses.includes(201) && statuses.includes(204), 'the flows succeed')
  t.notOk(
    statuses.some((status) => status >= 500),
    'no flow fails yet',
  )
  t.ok(secrets.size > 20, `${secrets.size} secrets are looked for`)

  refusing = true
  await everything('bob')
  refusing = false

  for (const table of tables) {
    const known = { email: `${table}@example.com`, password: fresh('password') }
    await send('POST', '/api/auth/signup', { ...known, name: table })
    // The database's error message contains the refused row.
    await sql`alter table ${sql.table(table)} add constraint canary check (false) not valid`.execute(db)
    const before = lines.length
    await everything(table, known)
    await app.securityEvents.flush()
    await sql`alter table ${sql.table(table)} drop constraint canary`.execute(db)
    t.ok(
      lines.slice(before).some((line) => JSON.parse(line).err),
      `${table}: something has failed`,
    )
  }

  const log = lines.join('')
  const leakedTo = (texts: readonly string[]) =>
    [...secrets]
      .filter((secret) => texts.some((text) => text.includes(secret)))
      .map((secret) => secret.split(' ')[0])
  t.same(leakedTo(lines), [], 'in the log')
  t.same(leakedTo(refusals), [], 'in an error')
  t.notMatch(log, /@example\.com/, 'nor an address')
})
