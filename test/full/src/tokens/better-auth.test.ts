import { decodeJwt, decodeProtectedHeader, type JWTPayload, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { problemOf, secret, signUp, testApp, unauthorized } from '../../../helper.ts'
import { betterAuthSecret, startBetterAuth } from '../../../support/better-auth.ts'

type BetterAuth = Awaited<ReturnType<typeof startBetterAuth>>

/** An app that trusts a Better Auth. */
async function trusting(t: Test, { origin }: BetterAuth, env: Record<string, string> = {}) {
  const app = await testApp(t, { env: { BETTER_AUTH_URL: origin, ...env } })
  const call = (token: string, method: string, url: string, payload?: object) =>
    app.inject({
      method: method as 'GET',
      url,
      headers: { authorization: `Bearer ${token}` },
      ...(payload ? { payload } : {}),
    })
  const refuses = async (token: string, label: string) => {
    const answer = await call(token, 'GET', '/api/auth/me')
    t.same(problemOf(answer), unauthorized, label)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', label)
  }
  return { app, call, refuses }
}

for (const alg of ['EdDSA', 'ES256', 'RS256'] as const) {
  t.test(`a stock Better Auth that signs with ${alg}: its users have tasks and a profile here`, async (t) => {
    const frontend = await startBetterAuth(t, { jwt: { jwks: { keyPairConfig: { alg } } } })
    const { call } = await trusting(t, frontend)
    const [ann, ben] = [await frontend.signUp('ann'), await frontend.signUp('ben')]
    const [annToken, benToken] = [await ann.token(), await ben.token()]
    t.match(ann.id, /^[A-Za-z0-9]{32}$/)

    t.same((await call(annToken, 'GET', `/api/${ann.id}/tasks`)).json(), [], 'no row yet')
    const made = await call(annToken, 'POST', `/api/${ann.id}/tasks`, { title: 'Buy milk' })
    t.equal(made.statusCode, 201)
    t.match(made.json(), { user_id: ann.id, title: 'Buy milk' })
    t.equal(made.headers['location'], `/api/${ann.id}/tasks/${made.json().id}`)
    t.same((await call(annToken, 'GET', `/api/${ann.id}/tasks`)).json(), [made.json()])

    const me = await call(benToken, 'GET', '/api/auth/me')
    t.match(me.json(), { id: ben.id, email: 'ben@example.com', name: 'ben', email_verified: false })
    t.match((await call(annToken, 'GET', '/api/auth/me')).json(), { id: ann.id, name: 'ann' })

    const stranger = await call(benToken, 'GET', `/api/${ann.id}/tasks`)
    t.equal(stranger.json().code, 'not_owner')
    t.equal((await call(benToken, 'GET', `/api/${ben.id}/tasks/${made.json().id}`)).statusCode, 404)
  })
}

t.test('no other token of a Better Auth is an access token (A18)', async (t) => {
  const frontend = await startBetterAuth(t)
  const { call, refuses } = await trusting(t, frontend, { SECRET_KEY: betterAuthSecret })
  const ann = await frontend.signUp('ann')
  const good = await ann.token()
  t.equal((await call(good, 'GET', '/api/auth/me')).statusCode, 200)

  const cache = ann.cookies['better-auth.session_data'] ?? ''
  t.match(
    Buffer.from(cache.split('.')[0] ?? '', 'base64url').toString(),
    /session-cache\+jwt/,
    'signed by the same keys',
  )
  await refuses(cache, 'session cache')
  await refuses(ann.sessionToken, 'opaque session token')
  await refuses(decodeURIComponent(ann.cookies['better-auth.session_token'] ?? ''), 'session cookie')
  t.equal(frontend.mails.length, 1)
  await refuses(frontend.mails[0] ?? '', 'e-mail verification, signed with the shared secret')
  const { token: idToken } = await frontend.auth.api.signJWT({
    body: { payload: { sub: ann.id, aud: 'a-client', nonce: 'n' } },
  })
  await refuses(idToken, 'ID token for a client')
  const { token: ours } = await frontend.auth.api.signJWT({
    body: { payload: { sub: 'user_01kb3v5rs1e2wbhx4hrsz3zj5e' } },
  })
  await refuses(ours, 'a subject that looks like one of ours')
})

t.test('tokens of another server with the same issuer and audience are refused (A09)', async (t) => {
  const frontend = await startBetterAuth(t)
  const { call, refuses } = await trusting(t, frontend)
  const ann = await frontend.signUp('ann')
  t.equal((await call(await ann.token(), 'GET', '/api/auth/me')).statusCode, 200)

  const impostor = await startBetterAuth(t, {
    jwt: { jwt: { issuer: frontend.origin, audience: frontend.origin } },
  })
  const mallory = await impostor.signUp('mallory')
  await refuses(await mallory.token(), 'same iss and aud, other keys')
})

t.test('a key rotation fails no request', async (t) => {
  const frontend = await startBetterAuth(t)
  const { call } = await trusting(t, frontend)
  const ann = await frontend.signUp('ann')
  const before = await ann.token()
  t.equal((await call(before, 'GET', '/api/auth/me')).statusCode, 200)
  frontend.rotate()
  const after = await ann.token()
  t.not(after.split('.')[0], before.split('.')[0], 'another kid')
  const answers = await Promise.all([after, after, before].map((token) => call(token, 'GET', '/api/auth/me')))
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [200, 200, 200],
  )
})

t.test('a rotation among unknown kids fails no request of the new key (A12)', async (t) => {
  const frontend = await startBetterAuth(t)
  const { call } = await trusting(t, frontend)
  const ann = await frontend.signUp('ann')
  const good = await ann.token()
  t.equal((await call(good, 'GET', '/api/auth/me')).statusCode, 200)
  const [, claims, signature] = good.split('.')
  const junk = Array.from({ length: 20 }, (_, at) => {
    const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: `junk-${at}` })).toString('base64url')
    return call(`${header}.${claims}.${signature}`, 'GET', '/api/auth/me')
  })
  await Promise.race(junk)
  frontend.rotate()
  const answers = await Promise.all([call(await ann.token(), 'GET', '/api/auth/me'), ...junk])
  t.equal(answers[0]?.statusCode, 200, 'within the second after a fetch')
  t.ok(answers.slice(1).every(({ statusCode }) => statusCode === 401))
})

t.test('50 unknown kids cause a few fetches (A12)', async (t) => {
  const frontend = await startBetterAuth(t)
  const { call } = await trusting(t, frontend)
  const ann = await frontend.signUp('ann')
  const good = await ann.token()
  t.equal((await call(good, 'GET', '/api/auth/me')).statusCode, 200)
  const known = frontend.fetches
  const [, claims, signature] = good.split('.')
  const bogus = Array.from({ length: 50 }, (_, at) => {
    const header = Buffer.from(JSON.stringify({ alg: 'EdDSA', kid: `made-up-${at}` })).toString('base64url')
    return `${header}.${claims}.${signature}`
  })
  const answers = await Promise.all(bogus.map((token) => call(token, 'GET', '/api/auth/me')))
  t.ok(answers.every(({ statusCode }) => statusCode === 401))
  t.ok(frontend.fetches - known <= 3, `${frontend.fetches - known} fetches`)
  t.equal((await call(good, 'GET', '/api/auth/me')).statusCode, 200, 'the known key still verifies')
})

t.test('an unreachable issuer: 503 before the first fetch, known keys verify after it (A13)', async (t) => {
  const frontend = await startBetterAuth(t)
  const ann = await frontend.signUp('ann')
  const token = await ann.token()
  await frontend.stop()
  const { app, call } = await trusting(t, frontend)
  const cold = await call(token, 'GET', '/api/auth/me')
  t.equal(cold.statusCode, 503)
  t.match(cold.headers['retry-after'], /^\d+$/)
  t.equal(cold.json().code, 'service_unavailable')
  const alice = await signUp(app, 'alice')
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200, 'the service’s own tokens stay valid')

  await frontend.start()
  await t.resolveMatch(
    untilOk(() => call(token, 'GET', '/api/auth/me')),
    { statusCode: 200 },
    'recovers without a restart',
  )
  await frontend.stop()
  t.equal((await call(token, 'GET', '/api/auth/me')).statusCode, 200)
})

/** Retries until the answer is no 5xx; the test's timeout bounds it. */
async function untilOk<T extends { statusCode: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer.statusCode < 500) return answer
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

t.test("a logout revokes all tokens of a foreign user, and no other user's", async (t) => {
  const frontend = await startBetterAuth(t)
  const { call, refuses } = await trusting(t, frontend)
  const [ann, ben] = [await frontend.signUp('ann'), await frontend.signUp('ben')]
  const [annToken, benToken] = [await ann.token(), await ben.token()]
  t.equal((await call(annToken, 'GET', '/api/auth/me')).statusCode, 200)
  t.same((await call(annToken, 'GET', '/api/auth/sessions')).json(), [], 'no session here')
  t.equal((await call(annToken, 'POST', '/api/auth/logout', { scope: 'others' })).statusCode, 204)
  t.equal((await call(annToken, 'GET', '/api/auth/me')).statusCode, 200, 'scope others keeps the own token')
  t.equal((await call(annToken, 'POST', '/api/auth/logout')).statusCode, 204)
  await refuses(annToken, 'after the logout')
  t.equal((await call(benToken, 'GET', '/api/auth/me')).statusCode, 200)
})

t.test('a foreign user has no password and no access to a local account with the same address', async (t) => {
  const frontend = await startBetterAuth(t)
  const { app, call } = await trusting(t, frontend)
  const ann = await frontend.signUp('ann')
  const token = await ann.token()
  t.equal((await call(token, 'GET', '/api/auth/me')).statusCode, 200)
  const password = 'password123'
  const logIn = () =>
    app.inject({ method: 'POST', url: '/api/auth/login', payload: { email: ann.email, password } })
  t.equal((await logIn()).statusCode, 401)

  const body = { email: ann.email, password, name: 'Another Ann' }
  const signedUp = await app.inject({ method: 'POST', url: '/api/auth/signup', payload: body })
  t.equal(signedUp.statusCode, 201, 'the address is free here')
  const local = signedUp.json()
  t.equal((await call(local.token, 'GET', `/api/${ann.id}/tasks`)).statusCode, 403)
  t.equal((await call(token, 'GET', `/api/${local.user.id}/tasks`)).statusCode, 403)
  t.match((await call(token, 'GET', '/api/auth/me')).json(), { id: ann.id, name: 'ann' })
  t.equal((await logIn()).statusCode, 200)

  t.match((await call(token, 'PATCH', '/api/auth/me', { name: 'Ann B.' })).json(), {
    id: ann.id,
    name: 'Ann B.',
  })
  t.match(
    (await call(token, 'GET', '/api/auth/me')).json(),
    { name: 'Ann B.' },
    'the name in the token does not override it',
  )
  for (const [method, url, payload] of [
    ['POST', '/api/auth/me/delete', { password }],
    ['PUT', '/api/auth/password', { current_password: password, new_password: 'password1234' }],
  ] as const) {
    t.equal((await call(token, method, url, payload)).json().code, 'invalid_credentials', url)
  }
})

t.test('a Better Auth that signs HS256 with the shared secret', async (t) => {
  const key = new TextEncoder().encode(betterAuthSecret)
  const frontend = await startBetterAuth(t, {
    jwt: {
      jwks: { remoteUrl: 'https://auth.example.com/.well-known/jwks.json', keyPairConfig: { alg: 'EdDSA' } },
      jwt: {
        sign: async ({ iss: _iss, aud: _aud, ...claims }) =>
          new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(key),
      },
    },
  })
  const app = await testApp(t, { env: { SECRET_KEY: betterAuthSecret } })
  const [ann, ben] = [await frontend.signUp('ann'), await frontend.signUp('ben')]
  const call = (token: string, url: string) =>
    app.inject({
      method: 'POST',
      url,
      headers: { authorization: `Bearer ${token}` },
      payload: { title: 'x' },
    })
  const annToken = await ann.token()
  t.match((await call(annToken, `/api/${ann.id}/tasks`)).json(), { user_id: ann.id })
  t.equal((await call(annToken, `/api/${ben.id}/tasks`)).statusCode, 403)
  t.equal(
    (await call(frontend.mails[0] ?? '', `/api/${ann.id}/tasks`)).statusCode,
    401,
    'e-mail verification',
  )
  t.equal((await call(ann.cookies['better-auth.session_data'] ?? '', `/api/${ann.id}/tasks`)).statusCode, 401)
})

t.test('BETTER_AUTH_SECRET: a signing function over the whole payload, besides the keys', async (t) => {
  const key = new TextEncoder().encode(betterAuthSecret)
  const byKeys = await startBetterAuth(t)
  const app = await testApp(t, {
    env: { BETTER_AUTH_URL: byKeys.origin, BETTER_AUTH_SECRET: betterAuthSecret, ALGORITHM: 'EdDSA' },
  })
  const call = (token: string, url = '/api/auth/me') =>
    app.inject({ url, headers: { authorization: `Bearer ${token}` } })
  const ann = await byKeys.signUp('ann')
  const byKey = await ann.token()
  t.match((await call(byKey)).json(), { id: ann.id, email: 'ann@example.com' })

  const jwks = await (await fetch(`${byKeys.origin}/api/auth/jwks`)).text()

  const bySecret = await startBetterAuth(t, {
    jwt: {
      jwks: { remoteUrl: 'https://unused.invalid', keyPairConfig: { alg: 'EdDSA' } },
      jwt: {
        // One server cannot do both.
        issuer: byKeys.origin,
        audience: byKeys.origin,
        sign: (payload: JWTPayload) => new SignJWT(payload).setProtectedHeader({ alg: 'HS256' }).sign(key),
      },
    },
  })
  const ben = await bySecret.signUp('ben')
  const token = await ben.token()
  t.match(decodeProtectedHeader(token), { alg: 'HS256' })
  t.match(decodeJwt(token), { iss: byKeys.origin, aud: byKeys.origin, email: 'ben@example.com' })
  t.match((await call(token)).json(), { id: ben.id, email: 'ben@example.com', name: 'ben' })
  t.equal((await call(token, `/api/${ann.id}/tasks`)).statusCode, 403)
  t.equal((await call(byKey)).statusCode, 200, 'the one by its keys goes on')
  const rows = await app.db.selectFrom('users').select('id').orderBy('id').execute()
  t.same(rows.map(({ id }) => id).sort(), [ann.id, ben.id].map((id) => `${byKeys.origin} ${id}`).sort())

  const changed = (claims: JWTPayload, secret = key) =>
    new SignJWT({ ...decodeJwt(token), ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(secret)
  const refused: Record<string, string> = {
    'e-mail verification': bySecret.mails[0] ?? '',
    'session cache': ben.cookies['better-auth.session_data'] ?? '',
    'another audience': await changed({ aud: 'x' }),
    'another issuer': await changed({ iss: 'http://latchkey.test', aud: 'http://latchkey.test' }),
    'the secret of this service': await changed({}, new TextEncoder().encode(secret)),
    'its JWKS as the secret': await changed({}, new TextEncoder().encode(jwks)),
    'the key of its JWKS by name': await new SignJWT(decodeJwt(token))
      .setProtectedHeader({ alg: 'HS256', kid: decodeProtectedHeader(byKey).kid ?? '' })
      .sign(new TextEncoder().encode('x'.repeat(32))),
  }
  for (const [label, wrong] of Object.entries(refused)) t.equal((await call(wrong)).statusCode, 401, label)
})
