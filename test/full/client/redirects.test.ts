import t, { type Test } from 'tap'
import { createLatchkey, type KeptSession, memoryStorage } from '../../../client/src/index.ts'
import { listening } from '../../support/better-auth.ts'

const session = {
  user: { id: 'user_1' },
  token: 'access-token',
  refresh_token: 'refresh-token',
} as KeptSession

/** A server that redirects to another origin, which must not be called. */
async function redirecting(t: Test, status: number) {
  const thief = await listening(t, (request, response) => {
    t.fail(`asked by ${request.method} ${request.url}`)
    response.end('{}')
  })
  const gateway = await listening(t, (request, response) => {
    request.resume()
    if (request.url?.endsWith('/me')) {
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"code":"unauthorized","request_id":"x"}')
    } else {
      response.writeHead(status, {
        location: `${thief.origin.replace('127.0.0.1', 'localhost')}${request.url}`,
      })
      response.end()
    }
  })
  return { gateway }
}

for (const status of [301, 302, 303, 307, 308]) {
  t.test(`a redirect (${status}) sends no password or token to another origin`, async (t) => {
    const { gateway } = await redirecting(t, status)
    const storage = memoryStorage()
    await storage.set(session)
    const client = createLatchkey({ baseUrl: gateway.origin, storage })
    const password = 'the password'
    const calls: Record<string, () => Promise<unknown>> = {
      refresh: () => client.session.refresh(),
      'refresh of a refused call': () => client.GET('/api/auth/me'),
      login: () => client.session.logIn({ email: 'a@example.com', password }),
      signup: () => client.session.signUp({ email: 'a@example.com', password, name: 'A' }),
      reauthentication: () => client.session.reauthenticate(password, '123456'),
      'logout with a token': () => client.session.logOut(),
      reset: () => client.POST('/api/auth/password/reset', { body: { token: 'x', new_password: password } }),
      'with what the caller asks for': () =>
        client.POST('/api/auth/login', {
          body: { email: 'a@example.com', password },
          redirect: 'follow',
        }),
      'at another base URL': () =>
        createLatchkey({ baseUrl: 'http://latchkey.test' }).POST('/api/auth/login', {
          baseUrl: gateway.origin,
          body: { email: 'a@example.com', password },
        }),
    }
    for (const [label, call] of Object.entries(calls)) await t.rejects(call(), TypeError, label)
    t.same(await storage.get(), session, 'the session is kept')
  })
}
