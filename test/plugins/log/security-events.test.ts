import t from 'tap'
import { password, signUp, testApp } from '../../helper.ts'

t.test('the log line of a security event has the id of its request', async (t) => {
  const lines: Record<string, unknown>[] = []
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'info', RATE_LIMITS: 'on', RATE_LIMIT_REFRESH: '3/1m' },
    log: (line) => lines.push(JSON.parse(line)),
  })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const causedBy = async (method: string, url: string, body: unknown, user = alice) => {
    lines.length = 0
    const headers = { 'x-request-id': `${method}:${url}` }
    const answer = await user.call(method, url, body, { headers })
    const requests = lines.filter(({ msg }) => msg === 'request')
    t.match(requests, [{ reqId: headers['x-request-id'] }], 'the request line has it too')
    const events = lines.filter(({ msg }) => msg === 'security event')
    for (const { request_id } of events) t.equal(request_id, headers['x-request-id'])
    return { answer, events: events.map(({ event, user_id }) => [event, user_id]) }
  }
  const made = await causedBy('POST', '/api/auth/login', { email: alice.email, password })
  t.same(made.events, [['login', alice.id]])
  const wrong = await causedBy('POST', '/api/auth/login', { email: bob.email, password: 'not this one' })
  t.same(wrong.events, [['login_failed', bob.id]])
  const { refresh_token: old } = made.answer.json()
  const others = await causedBy('POST', '/api/auth/logout', { scope: 'others' })
  t.ok(others.events.length > 0)
  await causedBy('POST', '/api/auth/refresh', { refresh_token: old })
  await causedBy('POST', '/api/auth/refresh', { refresh_token: 'none' })
  await causedBy('POST', '/api/auth/refresh', { refresh_token: 'none' })
  const limited = await causedBy('POST', '/api/auth/refresh', { refresh_token: 'none' })
  t.same(limited.events, [['rate_limit_reached', null]])
  const change = { current_password: password, new_password: 'another long password' }
  t.same((await causedBy('PUT', '/api/auth/password', change, bob)).events.at(0), [
    'password_changed',
    bob.id,
  ])
  const gone = await causedBy('POST', '/api/auth/me/delete', { password: change.new_password }, bob)
  t.same(gone.events.at(-1)?.at(0), 'account_deleted')
})
