import { createHmac } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { disconnectedDatabase } from '../../src/db/disconnected.ts'
import { problemOf, secret, signUp, testApp, twoUsers, unauthorized } from '../helper.ts'
import { keyPair } from '../support/key-pair.ts'
import { encode, goodClaims, goodHeader, mint, sign } from '../support/mint.ts'

const previousSecret = 'the one before: c7Wn3eRk8ZqVb5XyT0'

/** The service with a route that counts how often its handler runs. */
async function guardedApp(t: Test, env: Record<string, string> = {}) {
  const lines: string[] = []
  let entered = 0
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'info', SECRET_KEY_PREVIOUS: previousSecret, ...env },
    // Verifying a token causes no query.
    db: disconnectedDatabase(),
    log: (line) => lines.push(line),
    extend: (app) => {
      app.get('/whoami', { config: { access: 'user' } }, async (request) => {
        entered++
        return request.user
      })
    },
  })
  const call = (token: string) =>
    app.inject({ url: '/whoami', headers: { authorization: `Bearer ${token}` } })

  /** Asserts a 401, that the handler did not run, and one log line with a reason and without the token. */
  const refused = (answer: LightMyRequestResponse, label: string, token = '') => {
    t.equal(answer.statusCode, 401, label)
    t.same(problemOf(answer), unauthorized, label)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', label)
    t.equal(entered, 0, `${label}: handler not entered`)
    const written = lines.splice(0)
    t.equal(written.length, 1, `${label}: one log line`)
    t.match(JSON.parse(written[0] ?? '{}').reason, /^[a-z_]+$/, label)
    if (token.length > 8) t.notOk(written[0]?.includes(token), `${label}: no token in the log`)
  }
  const refuses = async (token: string, label: string) => refused(await call(token), label, token)
  return { app, call, refused, refuses }
}

t.test('a valid access token is accepted', async (t) => {
  const { call } = await guardedApp(t)
  const answer = await call(mint())
  t.equal(answer.statusCode, 200)
  t.match(answer.json(), { sub: goodClaims()['sub'], sid: goodClaims()['sid'] })
  t.equal(
    (await call(sign(goodHeader, goodClaims(), previousSecret))).statusCode,
    200,
    'SECRET_KEY_PREVIOUS verifies',
  )
})

t.test('SECRET_KEY_PREVIOUS never signs', async (t) => {
  const app = await testApp(t, { env: { SECRET_KEY_PREVIOUS: previousSecret } })
  const { token } = await signUp(app, 'alice')
  const [header, claims, signature] = token.split('.')
  const mac = createHmac('sha256', secret).update(`${header}.${claims}`).digest('base64url')
  t.equal(signature, mac)
})

t.test('an issued token has the claims of an access token, and no email address', async (t) => {
  const app = await testApp(t, { clock: () => 1_800_000_000 })
  const { token, id } = await signUp(app, 'alice')
  const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  t.same(JSON.parse(header ?? ''), { alg: 'HS256', typ: 'at+jwt' })
  const { sid, jti, auth_time: authTime, ...rest } = JSON.parse(claims ?? '')
  const iss = 'http://latchkey.test'
  const times = { iat: 1_800_000_000, exp: 1_800_000_900 }
  t.same(rest, { iss, aud: iss, sub: id, ...times, amr: ['pwd'], acr: 'aal1' })
  // The login's time is the database's.
  t.ok(Math.abs(authTime - Date.now() / 1000) < 60)
  t.match(sid, /^session_[0-9a-z]{26}$/)
  t.match(jti, /^[\w-]{22}$/)
})

t.test('only the algorithm HS256 is accepted (A01, A04)', async (t) => {
  const { refuses } = await guardedApp(t)
  const unsigned = (alg: string, signature: string) =>
    `${encode({ ...goodHeader, alg })}.${encode(goodClaims())}.${signature}`
  for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
    await refuses(unsigned(alg, ''), `A01 ${alg}`)
    await refuses(unsigned(alg, 'anVuaw'), `A02 ${alg}`)
    await refuses(sign({ ...goodHeader, alg }, goodClaims()), `A02 ${alg}, signed`)
  }
  for (const [alg, hash] of [
    ['HS512', 'sha512'],
    ['HS384', 'sha384'],
  ] as const) {
    await refuses(sign({ ...goodHeader, alg }, goodClaims(), secret, hash), `A04 ${alg}`)
  }
  for (const alg of [undefined, 256, ['HS256'], 'hs256', 'HS256 ', null, { a: 1 }, 'RS256', 'EdDSA']) {
    await refuses(mint({ alg }), `A05 ${JSON.stringify(alg)}`)
  }
})

t.test('only the canonical compact serialization is accepted (A03)', async (t) => {
  const { refuses } = await guardedApp(t)
  const good = mint()
  const [header = '', claims = '', signature = ''] = good.split('.')
  const jose = { payload: claims, signatures: [{ protected: header, signature }] }
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const strayBits = signature.slice(0, -1) + last[last.indexOf(signature.at(-1) ?? 'A') + 1]
  const spellings: Record<string, string> = {
    'A03 empty signature': `${header}.${claims}.`,
    'A03 two segments': `${header}.${claims}`,
    'A03 four segments': `${good}.${signature}`,
    'A03 one segment': header,
    'A03 dots': '..',
    'A16 five segments': `${header}..${claims}.${signature}.${signature}`,
    'A16 JSON': encode(jose),
    'A27 padding': `${good}=`,
    'A27 stray bits in the last character': `${header}.${claims}.${strayBits}`,
    'A27 plus and slash': `${header}.${claims}.${`+/${signature.slice(2)}`}`,
    'A27 percent': `${header}.${claims}.%41${signature.slice(1)}`,
    'A29 9 KiB': sign(goodHeader, { ...goodClaims(), junk: 'x'.repeat(9 * 1024) }),
    'A29 nested': sign(goodHeader, `{"sub":${'['.repeat(2000)}${']'.repeat(2000)}}`, 'another secret'),
  }
  for (const [label, token] of Object.entries(spellings)) await refuses(token, label)
})

t.test('key confusion: HS256 with a public key as secret is refused (A06)', async (t) => {
  const { refuses } = await guardedApp(t)
  const { publicKey } = keyPair('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  const jwk = publicKey.export({ format: 'jwk' })
  const keys = [pem.trimEnd(), pem, publicKey.export({ type: 'spki', format: 'der' }), JSON.stringify(jwk)]
  keys.push(JSON.stringify({ keys: [jwk] }), Buffer.from(jwk['n'] as string, 'base64url'))
  for (const [at, key] of keys.entries()) await refuses(sign(goodHeader, goodClaims(), key), `A06 ${at}`)
})

t.test('header parameters select no key and no other format (A10 to A12, A14 to A16)', async (t) => {
  const { refuses } = await guardedApp(t)
  const key = { kty: 'oct', k: encode('attacker attacker attacker attacker') }
  const byAttacker = (header: object) => sign({ ...goodHeader, ...header }, goodClaims(), key.k)
  await refuses(byAttacker({ jwk: key }), 'A10 jwk')
  await refuses(byAttacker({ x5c: ['MIIB'] }), 'A10 x5c')
  await refuses(byAttacker({ jku: 'http://127.0.0.1:1/jwks' }), 'A11 jku')
  await refuses(byAttacker({ x5u: 'http://127.0.0.1:1/x5u' }), 'A11 x5u')
  const kids = [
    'k1',
    '../../etc/passwd',
    "' OR 1=1--",
    '\0',
    'x'.repeat(4096),
    7,
    {},
    '__proto__',
    'constructor',
    null,
  ]
  for (const kid of kids) await refuses(mint({ kid }), `A12 ${JSON.stringify(kid).slice(0, 40)}`)
  for (const crit of [['x'], ['exp'], [], 'exp', ['exp', 'exp'], null, 0, '']) {
    await refuses(mint({ crit, exp: 1 }), `A14, A15 ${JSON.stringify(crit)}`)
  }
  await refuses(mint({ b64: false, crit: ['b64'] }), 'A16 b64 with crit')
  await refuses(mint({ b64: false }), 'A16 b64')
  await refuses(mint({ zip: 'DEF' }), 'A16 zip')
  await refuses(mint({ enc: 'A256GCM' }), 'A16 enc')
})

t.test('only tokens of type at+jwt are accepted (A17)', async (t) => {
  const { call, refuses } = await guardedApp(t)
  for (const typ of [
    'JWT',
    undefined,
    'rt+jwt',
    'id+jwt',
    1,
    null,
    ['at+jwt'],
    'application/json',
    'at+jwt ',
  ]) {
    await refuses(mint({ typ }), `A17 ${JSON.stringify(typ)}`)
  }
  for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+JWT']) {
    t.equal((await call(mint({ typ }))).statusCode, 200, `A17 ${typ}`)
  }
})

t.test('a token expires 30 seconds of skew after exp (A19)', async (t) => {
  let now = 2_000_000_000
  const app = await testApp(t, { clock: () => now })
  const alice = await signUp(app, 'alice')
  const status = async (at: number) => {
    now = at
    return (await alice.call('GET', '/api/auth/me')).statusCode
  }
  const exp = 2_000_000_900
  t.equal(await status(exp), 200)
  t.equal(await status(exp + 29), 200, 'skew - 1')
  t.equal(await status(exp + 30), 401, 'skew')
  t.equal(await status(exp + 31), 401, 'skew + 1')
})

t.test('missing, wrong or mistyped claims are refused (A20 to A24)', async (t) => {
  const { call, refuses } = await guardedApp(t)
  const now = Math.floor(Date.now() / 1000)
  const table: Record<string, unknown[]> = {
    exp: [
      undefined,
      null,
      String(now + 60),
      [now + 60],
      -1,
      0,
      1e308,
      2 ** 53 + 1,
      1.5,
      now - 31,
      now + 3600,
    ],
    nbf: [now + 60, String(now), null, {}],
    iat: [undefined, null, String(now), now + 60, now - 3600, 0, -1],
    iss: [
      undefined,
      'http://LATCHKEY.test',
      'http://latchkey.test/',
      ['http://latchkey.test'],
      'http://other.test',
      {},
    ],
    aud: ['http://other.test', {}, [], Array(10_000 / 16).fill('http://latchkey.test'), undefined, null, [1]],
    sub: [
      1,
      {},
      '',
      undefined,
      'user_',
      'USER_01KB3V5RS1E2WBHX4HRSZ3ZJ5E',
      'task_01kb3v5rs1e2wbhx4hrsz3zj5e',
      'user_\0',
    ],
    sid: [undefined, 1, '', 'user_01kb3v5rs1e2wbhx4hrsz3zj5e'],
  }
  for (const [claim, values] of Object.entries(table)) {
    for (const value of values) {
      await refuses(mint({}, { [claim]: value }), `${claim} ${JSON.stringify(value)?.slice(0, 40)}`)
    }
  }
  const infinite = JSON.stringify(goodClaims()).replace(/"exp":\d+/, '"exp":1e999')
  await refuses(sign(goodHeader, infinite), 'exp 1e999')
  t.equal(
    (await call(mint({}, { aud: ['x', 'http://latchkey.test'] }))).statusCode,
    200,
    'A23 a list with our audience',
  )
  t.equal((await call(mint({}, { nbf: now + 20 }))).statusCode, 200, 'A21 within the skew')
})

t.test('payloads that two parsers could read differently are refused (A25)', async (t) => {
  const { refuses } = await guardedApp(t)
  const claims = JSON.stringify(goodClaims())
  const payloads: Record<string, string | Buffer> = {
    'duplicate claim': claims.replace('{', '{"sub":"user_01kb3v5rs1e2wbhx4hrsz3zj5z",'),
    'escaped duplicate': claims.replace('{', '{"s\\u0075b":"user_01kb3v5rs1e2wbhx4hrsz3zj5z",'),
    array: `[${claims}]`,
    string: JSON.stringify(claims),
    null: 'null',
    number: '1',
    empty: '',
    '__proto__ claim': claims.replace('{', '{"__proto__":{"polluted":true},'),
    'byte order mark': `\uFEFF${claims}`,
    'trailing text': `${claims}x`,
    'lone surrogate': claims.replace('{', '{"x":"\\ud800",'),
    'constructor claim': claims.replace('{', '{"x":{"constructor":{"prototype":1}},'),
  }
  for (const [label, payload] of Object.entries(payloads)) await refuses(sign(goodHeader, payload), label)
  const invalid = Buffer.concat([Buffer.from(claims.slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')])
  const input = `${encode(goodHeader)}.${invalid.toString('base64url')}`
  const mac = createHmac('sha256', secret).update(input).digest('base64url')
  await refuses(`${input}.${mac}`, 'invalid UTF-8')
  await refuses(
    sign(`{"alg":"HS256","alg":"HS256","typ":"at+jwt"}`, goodClaims()),
    'duplicate header parameter',
  )
  t.equal(({} as Record<string, unknown>)['polluted'], undefined)
})

t.test('only Bearer in one Authorization header is accepted (A31)', async (t) => {
  const { app, refused } = await guardedApp(t)
  const token = mint()
  const call = (authorization: string, url = '/whoami') => app.inject({ url, headers: { authorization } })

  const values = [
    'Bearer',
    'Bearer ',
    'Bearer  ',
    `Bearer\t${token}`,
    `Bearer \t${token}`,
    `Bearer ${token} `,
    `${token}`,
  ]
  values.push(
    `Bearer ${token} ${token}`,
    `Bearer ${token}, Bearer ${token}`,
    `Basic ${token}`,
    `Bearer ${token}\xa0`,
  )
  for (const value of values) refused(await call(value), `A30 ${JSON.stringify(value).slice(0, 30)}`, token)

  const both = await call(`Bearer ${token}`, `/whoami?access_token=${token}`)
  t.match(problemOf(both), { status: 400, code: 'invalid_request' }, 'A31 header and query')
  t.equal(both.headers['www-authenticate'], 'Bearer error="invalid_request"')
  const query = await app.inject(`/whoami?access_token=${token}`)
  t.match(problemOf(query), { status: 401, code: 'unauthorized' }, 'A31 query alone')
  t.equal((await call(`bearer ${token}`)).statusCode, 200, 'A30 lower case')
  for (const spaces of ['  ', ' '.repeat(50)]) {
    t.equal((await call(`Bearer${spaces}${token}`)).statusCode, 200, '1*SP, RFC 6750 section 2.1')
  }
})

t.test('an access token is valid for its purpose only (A18)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const answer = await bob.call('GET', alice.tasks)
  t.equal(answer.statusCode, 403, "a token gives no access to another user's data")
  const login = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email: alice.email, password: alice.token.slice(0, 128) },
  })
  t.match(problemOf(login), { status: 401, code: 'invalid_credentials' }, 'a token is not a password')
})

t.test('the token of a deleted account reads and creates nothing (F06)', async (t) => {
  const { alice } = await twoUsers(t)
  const gone = await alice.call('POST', '/api/auth/me/delete', { password: 'correct horse battery' })
  t.equal(gone.statusCode, 204)
  t.match(problemOf(await alice.call('POST', alice.tasks, { title: 'x' })), { status: 401 })
  t.match((await alice.call('GET', '/api/auth/me')).statusCode, /^40[14]$/)
})
