import { createPublicKey, type KeyObject, randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { problemOf, secret, signUp, testApp, unauthorized } from '../../helper.ts'
import { listening } from '../../support/better-auth.ts'
import { keyPair } from '../../support/key-pair.ts'
import { encode, goodClaims, goodHeader, mint, sign, signWith } from '../../support/mint.ts'
import { basic, form, serviceClients } from '../../support/service-client.ts'

const local = 'user_01kb3v5rs1e2wbhx4hrsz3zj5e'
const now = () => Math.floor(Date.now() / 1000)

/** An issuer with a JWKS on the loopback. */
async function startIssuer(t: Test, { issuer, alg = 'RS256' }: { issuer?: string; alg?: string } = {}) {
  const pair =
    alg === 'RS256' ? keyPair('rsa', { modulusLength: 2048 }) : keyPair('ec', { namedCurve: 'P-256' })
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'k1', alg }
  const server = await listening(t, (_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] }))
  })
  const iss = issuer ?? server.origin
  const claims = (changes: Record<string, unknown> = {}) => ({
    iss,
    aud: 'tasks',
    sub: 'auth0|5f7c8ec7c33c6c004bbafe82',
    iat: now(),
    exp: now() + 900,
    ...changes,
  })
  return {
    iss,
    alg,
    jwk,
    privateKey: pair.privateKey as KeyObject,
    publicKey: pair.publicKey,
    entry: { issuer: iss, audience: 'tasks', jwks_url: `${server.origin}/jwks`, algorithms: [alg] },
    claims,
    mint: (changes: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
      signWith(pair.privateKey as KeyObject, { alg, kid: 'k1', ...header }, claims(changes)),
  }
}

type StartedIssuer = Awaited<ReturnType<typeof startIssuer>>

async function trusting(t: Test, issuers: StartedIssuer[], env: Record<string, string> = {}) {
  const app = await testApp(t, {
    env: {
      TRUSTED_ISSUERS: JSON.stringify(issuers.map(({ entry }) => entry)),
      ...serviceClients({ gateway: ['introspect'] }),
      ...env,
    },
  })
  const call = (token: string, method = 'GET', url = '/api/auth/sessions', payload?: object) =>
    app.inject({
      method: method as 'GET',
      url,
      headers: { authorization: `Bearer ${token}` },
      ...(payload ? { payload } : {}),
    })
  const introspect = async (token: string) =>
    (await app.inject(form('/oauth/introspect', { token }, { authorization: basic('gateway') }))).json()
  const accepts = async (token: string, label: string) => t.equal((await call(token)).statusCode, 200, label)
  /** By the guard, and by introspection, which gets the token in another way. */
  const refuses = async (token: string, label: string) => {
    // Together: an unknown kid waits for a fetch.
    const [answer, introspected] = await Promise.all([call(token), introspect(token)])
    t.same(problemOf(answer), unauthorized, label)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', label)
    t.same(introspected, { active: false }, label)
  }
  return { app, call, introspect, accepts, refuses }
}

t.test('the issuer selects the key, never the algorithm of the token (A06, A09)', async (t) => {
  const issuer = await startIssuer(t)
  const { accepts, refuses } = await trusting(t, [issuer])
  await accepts(issuer.mint(), 'its own')
  await accepts(mint(), 'ours')

  const pem = issuer.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const hmac = { alg: 'HS256', typ: 'JWT', kid: 'k1' }
  const confusions: Record<string, string | Buffer> = {
    PEM: pem,
    'PEM and LF': `${pem}\n`,
    DER: issuer.publicKey.export({ type: 'spki', format: 'der' }),
    JWK: JSON.stringify(issuer.jwk),
    JWKS: JSON.stringify({ keys: [issuer.jwk] }),
    n: Buffer.from(issuer.jwk.n ?? '', 'base64url'),
  }
  for (const [label, key] of Object.entries(confusions)) {
    await refuses(sign(hmac, issuer.claims(), key), `A06 ${label}`)
    await refuses(sign(goodHeader, goodClaims(), key), `A06 ${label}, our issuer`)
  }
  await refuses(sign(hmac, issuer.claims(), secret), 'A09 its iss, HS256 with our secret')
  await refuses(sign({ alg: 'HS256' }, issuer.claims(), secret), 'A09 the same without kid')
  const { privateKey } = issuer
  await refuses(
    signWith(privateKey, { ...goodHeader, alg: 'RS256', kid: 'k1' }, goodClaims()),
    'A09 our iss, RS256',
  )
  await refuses(
    signWith(privateKey, { alg: 'RS256', kid: 'k1' }, issuer.claims({ iss: undefined })),
    'A09 no iss',
  )
  await refuses(
    signWith(privateKey, { alg: 'PS256', kid: 'k1' }, issuer.claims()),
    'an algorithm it is not trusted with',
  )
})

t.test('a public key signs nothing, and each issuer has its own kids (A06, A09)', async (t) => {
  for (const ALGORITHM of ['ES256', 'EdDSA']) {
    const issuer = await startIssuer(t, { alg: 'ES256' })
    const { app, introspect, accepts, refuses } = await trusting(t, [issuer], { ALGORITHM })
    const { token } = await signUp(app, 'alice')
    const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
    const { kid } = JSON.parse(header ?? '')
    const [jwk] = (await app.inject('/.well-known/jwks.json')).json().keys
    const pem = createPublicKey({ key: jwk, format: 'jwk' })
      .export({ type: 'spki', format: 'pem' })
      .toString()
    t.equal((await introspect(issuer.mint({ sub: 'new' }))).active, true, 'a token that no guard has seen')
    await accepts(token, 'its own')
    for (const key of [pem, pem.trim(), secret, JSON.stringify(jwk)]) {
      await refuses(sign({ alg: 'HS256', typ: 'at+jwt', kid }, claims, key), `${ALGORITHM} HS256`)
      await refuses(sign({ alg: 'HS512', typ: 'at+jwt', kid }, claims, key, 'sha512'), `${ALGORITHM} HS512`)
      await refuses(sign({ alg: 'HS256', typ: 'JWT', kid: 'k1' }, issuer.claims(), key), 'of the issuer')
    }
    for (const alg of ['none', 'None', ''])
      for (const signature of ['', 'AA'])
        await refuses(`${encode({ alg, typ: 'at+jwt', kid })}.${encode(claims)}.${signature}`, alg)
    for (const named of [kid, 'k1']) {
      const foreign = { alg: 'ES256', typ: 'at+jwt', kid: named }
      await refuses(signWith(issuer.privateKey, foreign, claims), `our iss, signed by another: ${named}`)
    }
    await refuses(issuer.mint({}, { kid }), 'its iss and signature, our kid')
  }
})

t.test('a client of a trusted issuer is no user of it (RFC 9068 section 2.2)', async (t) => {
  const issuer = await startIssuer(t)
  const { app, introspect, accepts, refuses } = await trusting(t, [issuer])
  const client = { sub: 'client_reports', client_id: 'client_reports' }
  await refuses(issuer.mint(client), 'as a Latchkey and others make them')
  const own = { iat: now(), exp: now() + 900 }
  await refuses(sign({ alg: 'HS256' }, { ...client, ...own }), 'signed with the shared secret')
  const authorization = `Bearer ${issuer.mint(client)}`
  const asked = await app.inject({ url: '/gateway/verify', headers: { authorization } })
  t.equal(asked.statusCode, 401)
  const service = await app.inject(form('/oauth/introspect', { token: 'x' }, { authorization }))
  t.equal(service.json().error, 'invalid_client', 'nor is it a client of this service')

  const user = issuer.mint({ ...client, sub: 'ann' })
  await accepts(user, 'a user, through a client')
  t.match(await introspect(user), { active: true, sub: 'ann', client_id: 'client_reports' })
})

t.test('header parameters select no other key (A10, A11, A12)', async (t) => {
  const issuer = await startIssuer(t)
  const { accepts, refuses } = await trusting(t, [issuer])
  const attacker = keyPair('rsa', { modulusLength: 2048 })
  const jwk = { ...attacker.publicKey.export({ format: 'jwk' }), kid: 'k1' }
  const listener = await listening(t, () => t.fail('fetched (A11)'))
  const url = `${listener.origin}/jwks`
  for (const header of [
    { jwk },
    { jku: url },
    { x5u: url },
    { x5c: ['MIIB'] },
    { jwk, jku: url, x5u: url },
  ]) {
    const signed = signWith(attacker.privateKey, { alg: 'RS256', kid: 'k1', ...header }, issuer.claims())
    await refuses(signed, Object.keys(header).join())
  }
  for (const kid of [
    undefined,
    7,
    {},
    '',
    '../../etc/passwd',
    "' OR 1=1--",
    '\0',
    '__proto__',
    'constructor',
  ]) {
    await refuses(issuer.mint({}, { kid }), `A12 ${JSON.stringify(kid)}`)
  }
  await accepts(issuer.mint({}, { jku: url }), 'other parameters are ignored')
})

t.test('the claims required of a trusted issuer’s token (A17, A20 to A24)', async (t) => {
  const issuer = await startIssuer(t)
  const { accepts, refuses } = await trusting(t, [issuer])
  const good: Record<string, unknown>[] = [
    { aud: ['x', 'tasks'] },
    { iat: now() - 3600 },
    { nbf: now() + 20 },
    { exp: now() + 31 * 86_400 },
    { iat: now() - 30 * 86_400, exp: now() + 86_400 },
    { sub: 'x'.repeat(255) },
    { sub: 'user_2NNEqL2nrIRdJ194ndJqAHwEfxC' },
  ]
  for (const changes of good) await accepts(issuer.mint(changes), JSON.stringify(changes).slice(0, 60))
  for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+jwt'])
    await accepts(issuer.mint({}, { typ }), typ)

  const bad: Record<string, unknown[]> = {
    iss: [undefined, null, `${issuer.iss}/`, issuer.iss.toUpperCase(), [issuer.iss], {}, 7],
    aud: [undefined, null, 'other', {}, [], ['other'], [7, 'tasks'], Array(17).fill('tasks')],
    sub: [undefined, null, '', 7, {}, ['a'], 'a b', 'a\0', 'ä', 'x'.repeat(256), local, local.toUpperCase()],
    exp: [
      undefined,
      null,
      String(now() + 60),
      [now() + 60],
      -1,
      0,
      2 ** 53 + 1,
      now() - 31,
      now() + 32 * 86_400,
    ],
    nbf: [now() + 60, String(now()), null],
    // The last could outlive its revocation.
    iat: [undefined, null, String(now()), now() + 60, -1, now() - 31 * 86_400],
  }
  for (const [claim, values] of Object.entries(bad)) {
    for (const value of values) {
      await refuses(issuer.mint({ [claim]: value }), `${claim} ${JSON.stringify(value)?.slice(0, 40)}`)
    }
  }
  for (const typ of ['rt+jwt', 'id+jwt', 'better-auth.session-cache+jwt', 7, null]) {
    await refuses(issuer.mint({}, { typ }), `A17 ${typ}`)
  }
  await refuses(issuer.mint({}, { crit: ['x'] }), 'A14')
})

t.test('unread claims may contain JSON that is refused in a body', async (t) => {
  const issuer = await startIssuer(t)
  const { accepts, refuses, call } = await trusting(t, [issuer])
  const signed = (payload: string) => signWith(issuer.privateKey, { alg: issuer.alg, kid: 'k1' }, payload)
  const shared = (payload: string) => sign({ alg: 'HS256' }, payload)
  const own = { sub: randomUUID(), iat: now(), exp: now() + 900 }
  const makers: [string, (payload: string) => string, object][] = [
    ['keys', signed, issuer.claims()],
    ['secret', shared, own],
  ]
  for (const [label, make, claims] of makers) {
    const beside = (text: string) => make(JSON.stringify(claims).replace('{', `{${text},`))
    for (const ignored of [
      '"https://x.example/meta":{"constructor":1}',
      '"constructor":{"prototype":{"admin":true}}',
      '"prototype":[]',
      '"picture":"ab\\ud83d"',
      '"ab\\ud83d":1',
      '"meta":[{"x":"\\udc00\\ud800"}]',
    ]) {
      await accepts(beside(ignored), `${label} ${ignored}`)
    }
    for (const refused of [
      '"x":{"a":1,"a":2}',
      '"x":{"constructor":1,"constructor":2}',
      '"__proto__":{"admin":true}',
      '"x":{"__proto__":1}',
      '"exp":9999999999',
    ]) {
      await refuses(beside(refused), `${label} ${refused}`)
    }
    for (const read of [
      { sub: 'ab\ud83d' },
      { aud: 'tasks\ud83d' },
      { aud: ['x', 'tasks\ud83d'] },
      { iss: 'x\ud83d' },
    ]) {
      await refuses(make(JSON.stringify({ ...claims, ...read })), `${label} ${JSON.stringify(read)}`)
    }
  }
  const header = `{"alg":"${issuer.alg}","kid":"k1","x":{"constructor":1}}`
  const [, claims = ''] = issuer.mint().split('.')
  await refuses(`${encode(header)}.${claims}.AAAA`, 'headers are parsed strictly')
  t.equal(({} as Record<string, unknown>)['admin'], undefined)

  const cut = await call(issuer.mint({ sub: 'cut', name: 'ab\ud83d' }), 'GET', '/api/auth/me')
  t.equal(cut.json().name, 'ab', 'a lone surrogate is removed from a name')
})

t.test('the same subject of two issuers is two users', async (t) => {
  const [one, two] = [await startIssuer(t), await startIssuer(t, { alg: 'ES256' })]
  const { call, app } = await trusting(t, [one, two])
  const path = `/api/${encodeURIComponent('auth0|5f7c8ec7c33c6c004bbafe82')}/tasks`
  const [first, second] = [one.mint({ email: 'a@example.com' }), two.mint({ email: 'a@example.com' })]
  const shared = sign(
    { alg: 'HS256' },
    { sub: 'auth0|5f7c8ec7c33c6c004bbafe82', iat: now(), exp: now() + 60 },
  )
  const made = await call(first, 'POST', path, { title: 'of the first' })
  t.match(made.json(), { user_id: 'auth0|5f7c8ec7c33c6c004bbafe82', title: 'of the first' })

  for (const [label, token] of Object.entries({ second, shared })) {
    t.same((await call(token, 'GET', path)).json(), [], label)
    for (const method of ['GET', 'DELETE'] as const) {
      t.equal((await call(token, method, `${path}/${made.json().id}`)).statusCode, 404, `${label} ${method}`)
    }
    const changed = await call(token, 'PATCH', `${path}/${made.json().id}`, { title: 'taken' })
    t.equal(changed.statusCode, 404, `${label} PATCH`)
    t.equal((await call(token, 'POST', path, { title: label })).statusCode, 201)
    t.match((await call(token, 'GET', path)).json(), [{ title: label }])
  }
  t.match((await call(first, 'GET', path)).json(), [{ title: 'of the first' }])

  t.equal((await call(first, 'PATCH', '/api/auth/me', { name: 'First' })).json().name, 'First')
  t.equal((await call(second, 'GET', '/api/auth/me')).json().name, 'a')
  t.equal((await call(first, 'POST', '/api/auth/logout')).statusCode, 204)
  t.equal((await call(first)).statusCode, 401, 'revoked')
  t.equal((await call(second)).statusCode, 200, 'the other issuer’s user is not revoked')
  const rows = await app.db.selectFrom('users').select(['id', 'issuer', 'subject']).orderBy('id').execute()
  t.same(rows.map(({ issuer }) => issuer).sort(), [one.iss, two.iss, 'shared-secret'].sort())
})

t.test('a token signed with the shared secret may name any user', async (t) => {
  const { app, call, accepts, refuses } = await trusting(t, [])
  const token = (
    claims: Record<string, unknown>,
    header: Record<string, unknown> = { alg: 'HS256', typ: 'JWT' },
  ) => sign(header, { sub: 'QZ8mFDoeYtPcL3vW1nXsKbR5hJ7aG2uE', iat: now(), exp: now() + 900, ...claims })
  await accepts(token({}), 'sub, iat and exp')
  await accepts(token({}, { alg: 'HS256', kid: 'whatever' }), 'no typ, a kid')
  await accepts(token({ iat: now(), email: 'a@example.com', role: 'user' }), 'more claims')
  await accepts(token({ aud: 'http://latchkey.test' }), 'for this service')
  await refuses(token({ aud: 'http://other.test' }), 'for another service')
  await refuses(token({ sub: undefined }), 'no sub')
  for (const sub of ['', 7, null, {}, 'a b', 'a\0'])
    await refuses(token({ sub }), `sub ${JSON.stringify(sub)}`)
  for (const exp of [undefined, null, 'soon', now() - 31]) await refuses(token({ exp }), `exp ${exp}`)
  await refuses(token({ iss: null }), 'iss null')
  await refuses(token({ iss: 'http://other.test' }), 'an untrusted issuer')
  await refuses(token({ iat: undefined }), 'no iat')
  await refuses(token({ iat: now() + 60 }), 'issued in the future')
  await refuses(token({ iat: now() - 60 * 86_400 }), 'issued before revocations are kept')
  for (const typ of ['at+jwt', 'rt+jwt', 'id+jwt', 7])
    await refuses(token({}, { alg: 'HS256', typ }), `typ ${typ}`)
  await refuses(token({}, { alg: 'HS512' }), 'another algorithm')
  await refuses(`${encode({ alg: 'none' })}.${encode({ sub: 'x', exp: now() + 60 })}.AA`, 'none')

  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const asAlice = token({ sub: alice.id, iat: now() })
  t.match((await call(asAlice, 'GET', '/api/auth/me')).json(), { id: alice.id, email: alice.email })
  t.equal((await call(asAlice, 'POST', alice.tasks, { title: 'x' })).statusCode, 201)
  t.equal((await call(asAlice, 'GET', bob.tasks)).statusCode, 403)
  const nobody = token({ sub: local })
  t.equal((await call(nobody, 'GET', '/api/auth/me')).json().code, 'user_not_found', 'creates no account')
  t.equal((await call(nobody, 'POST', `/api/${local}/tasks`, { title: 'x' })).statusCode, 401)

  t.equal((await alice.call('POST', '/api/auth/logout', { scope: 'all' })).statusCode, 204)
  await refuses(asAlice, 'revoked with all of her sessions')
})

t.test('with key pairs, the shared secret verifies no token', async (t) => {
  const { refuses } = await trusting(t, [], { ALGORITHM: 'EdDSA' })
  await refuses(sign({ alg: 'HS256', typ: 'JWT' }, { sub: 'x', exp: now() + 60 }), 'no iss')
  await refuses(mint(), 'our iss')
})

t.test('valid profile claims of a token are stored, others replaced (I03, I04)', async (t) => {
  const issuer = await startIssuer(t)
  const { call } = await trusting(t, [issuer])
  const me = async (profile: Record<string, unknown>) => {
    const sub = randomUUID()
    const answer = await call(issuer.mint({ sub, ...profile }), 'GET', '/api/auth/me')
    const { id, created_at: _, ...rest } = answer.json()
    t.equal(id, sub)
    return rest
  }
  const whole = { email: 'Ann@Example.com', name: 'Ann', email_verified: true }
  t.same(await me(whole), { ...whole, email: 'ann@example.com' })
  t.match(await me({ email: 'a@example.com', name: 7, email_verified: 'true' }), {
    name: 'a',
    email_verified: false,
  })
  t.match(await me({ email: 'not one', name: '\ufeff\0', email_verified: true }), {
    email: null,
    email_verified: false,
  })
  t.equal([...(await me({ name: '😀'.repeat(300) })).name].length, 100)
  t.equal((await me({ email: ['a@example.com'] })).email, null)
})
