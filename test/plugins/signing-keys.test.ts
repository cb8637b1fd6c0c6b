import { createPrivateKey, createPublicKey, sign as rawSign } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import databasePlugin from '../../plugins/database.ts'
import signingKeys from '../../plugins/signing-keys.ts'
import { migrate } from '../../src/db/migrate.ts'
import type { Db } from '../../src/db/schema.ts'
import { rotateKeys } from '../../src/keys/key-rotation.ts'
import type { KeyAlgorithm } from '../../src/keys/signing-keys.ts'
import type { KeySource } from '../../src/tokens/key-source.ts'
import { SharedKeys } from '../../src/tokens/shared-keys.ts'
import { problemOf, secret, signUp, testApp, testDatabase } from '../helper.ts'
import { keyPair } from '../support/key-pair.ts'
import { encode, goodClaims, sign, signWith, verifiesWith } from '../support/mint.ts'

/** RS256, whose keys take long to make, in the full suite. */
const algorithms = (['EdDSA', 'ES256', 'RS256'] as const).slice(
  0,
  process.env['TEST_SAMPLES'] === 'all' ? 3 : 2,
)
const day = 86_400

async function database(): Promise<Db> {
  const db = await testDatabase(t)
  await migrate(db)
  return db
}

/** The service under one algorithm and a test clock, with a route that returns the caller. */
async function appWith<A extends KeyAlgorithm | 'HS256'>(
  t: Test,
  algorithm: A,
  env: Record<string, string> = {},
) {
  const time = { now: 1_800_000_000 }
  const db = await database()
  let entered = 0
  const app = await testApp(t, {
    env: { ALGORITHM: algorithm, ...env },
    clock: () => time.now,
    db,
    extend: (app) => {
      app.get('/whoami', { config: { access: 'user' } }, async (request) => {
        entered++
        const user = { ...request.user }
        // A32: no handler may change what the next request sees.
        if (request.user) Object.assign(request.user, { sub: 'user_00000000000000000000000000' })
        return user
      })
    },
  })
  const status = async (token: string) => (await whoami(app, token)).statusCode
  const refuses = async (t: Test, token: string, label: string) => {
    entered = 0
    const answer = await whoami(app, token)
    t.match(problemOf(answer), { status: 401, code: 'unauthorized' }, label)
    t.equal(entered, 0, `${label}: handler not entered`)
  }
  return {
    app,
    time,
    db,
    status,
    refuses,
    store: { db, algorithm, secret, previousSecret: undefined, clock: () => time.now },
  }
}

function whoami(app: FastifyInstance, token: string) {
  return app.inject({ url: '/whoami', headers: { authorization: `Bearer ${token}` } })
}

function keyOf(app: FastifyInstance) {
  if (!app.signingKeys) throw new Error('no signing keys')
  return app.signingKeys.signingKey()
}

const jwksOf = async (app: FastifyInstance) => (await app.inject('/.well-known/jwks.json')).json()

for (const alg of algorithms) {
  t.test(`${alg}: an issued token verifies here and, by the JWKS, in other services`, async (t) => {
    const { app, status } = await appWith(t, alg)
    const alice = await signUp(app, 'alice')
    t.equal((await alice.call('GET', alice.tasks)).statusCode, 200)
    t.equal((await alice.call('GET', '/api/user_01kb3v5rs1e2wbhx4hrsz3zj5e/tasks')).statusCode, 403)
    t.equal(await status(alice.token), 200)

    const { kid } = keyOf(app)
    const header = JSON.parse(Buffer.from(alice.token.split('.')[0] ?? '', 'base64url').toString())
    t.same(header, { alg, typ: 'at+jwt', kid })
    const jwks = await jwksOf(app)
    t.equal(jwks.keys.length, 1)
    t.ok(verifiesWith(jwks, alice.token))
    t.notOk(verifiesWith(jwks, `${alice.token.slice(0, -8)}AAAAAAAA`))
  })

  t.test(`${alg}: forgeries are refused (A01 to A06, A10, A12, A17, A25 to A28)`, async (t) => {
    const { app, time, status, refuses } = await appWith(t, alg)
    const { key, kid } = keyOf(app)
    const header = { alg, typ: 'at+jwt', kid }
    const claims = goodClaims(time.now)
    const good = signWith(key, header, claims)
    t.equal(await status(good), 200)
    const [head = '', body = '', signature = ''] = good.split('.')

    for (const none of ['none', 'None', 'NONE', 'nOnE']) {
      await refuses(t, `${encode({ ...header, alg: none })}.${encode(claims)}.`, `A01 ${none}`)
      await refuses(t, `${encode({ ...header, alg: none })}.${encode(claims)}.anVuaw`, `A02 ${none}`)
    }
    await refuses(t, `${head}.${body}.`, 'A03 empty signature')
    await refuses(t, `${head}.${body}`, 'A03 no signature')
    await refuses(t, `${good}.${signature}`, 'A03 four segments')
    for (const other of [
      undefined,
      1,
      [alg],
      alg.toLowerCase(),
      'HS256',
      'PS256',
      'ES384',
      'RS512',
      'none',
    ]) {
      await refuses(t, signWith(key, { ...header, alg: other }, claims), `A05 ${JSON.stringify(other)}`)
    }

    const publicKey = createPublicKey(key)
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
    const jwk = publicKey.export({ format: 'jwk' })
    const forms = {
      PEM: pem.trimEnd(),
      'PEM and LF': pem,
      DER: publicKey.export({ type: 'spki', format: 'der' }),
      JWK: JSON.stringify(jwk),
      JWKS: JSON.stringify(await jwksOf(app)),
      'key bytes': Buffer.from(jwk.n ?? jwk.x ?? '', 'base64url'),
      'the secret': secret,
    }
    for (const [form, hmacKey] of Object.entries(forms)) {
      for (const declared of ['HS256', alg]) {
        await refuses(t, sign({ ...header, alg: declared }, claims, hmacKey), `A06 ${form} as ${declared}`)
      }
    }
    await refuses(t, sign({ alg: 'HS256', typ: 'at+jwt' }, claims), 'A09 HS256 with the secret')

    const attacker = keyPair('ed25519')
    const attackerJwk = attacker.publicKey.export({ format: 'jwk' })
    await refuses(t, signWith(attacker.privateKey, header, claims), 'another key under our kid')
    await refuses(t, signWith(attacker.privateKey, { ...header, jwk: attackerJwk }, claims), 'A10 jwk')

    const kids = [
      undefined,
      null,
      7,
      {},
      [kid],
      '',
      '../../etc/passwd',
      "' OR 1=1--",
      '\0',
      'x'.repeat(4_096),
    ]
    kids.push('__proto__', 'constructor', `${kid} `, kid.toUpperCase(), kid.slice(1))
    for (const odd of kids) {
      const label = `A12 ${JSON.stringify(odd)?.slice(0, 24)}`
      await refuses(t, signWith(key, { ...header, kid: odd }, claims), label)
    }
    for (const typ of ['JWT', undefined, 'rt+jwt', 'id+jwt']) {
      await refuses(t, signWith(key, { ...header, typ }, claims), `A17 ${typ}`)
    }
    for (const changed of [
      { sub: 'task_01kb3v5rs1e2wbhx4hrsz3zj5e' },
      { iss: 'http://other.test' },
      { exp: time.now - 31 },
      { exp: '1' },
    ]) {
      await refuses(t, signWith(key, header, { ...claims, ...changed }), JSON.stringify(changed))
    }
    const twice = JSON.stringify(claims).replace('{', '{"sub":"user_01kb3v5rs1e2wbhx4hrsz3zj5z",')
    await refuses(t, signWith(key, header, twice), 'A25 duplicate claim')
    await refuses(t, signWith(key, header, `[${JSON.stringify(claims)}]`), 'A26 array')
    await refuses(t, `${good}=`, 'A27 padding')
    const raw = Buffer.from(signature, 'base64url')
    const signed = (bytes: Buffer) => `${head}.${body}.${bytes.toString('base64url')}`
    await refuses(t, signed(raw.subarray(1)), 'A28 a byte too few')
    await refuses(t, signed(Buffer.concat([raw, Buffer.of(0)])), 'A28 a byte too many')
    await refuses(t, signed(Buffer.concat([Buffer.of(0), raw])), 'A28 a leading byte')
    await refuses(t, signed(Buffer.alloc(raw.length)), 'A28 zeros')
    await refuses(t, signed(Buffer.alloc(raw.length, 0xff)), 'A28 ones')
    t.equal(await status(good), 200, 'the valid token still verifies')
  })
}

t.test('only the one canonical form of an ES256 signature is accepted', async (t) => {
  const { app, time, status, refuses } = await appWith(t, 'ES256')
  const { key, kid } = keyOf(app)
  const header = { alg: 'ES256', typ: 'at+jwt', kid }
  const claims = goodClaims(time.now)
  await refuses(t, signWith(key, header, claims, 'der'), 'DER')

  const input = `${encode(header)}.${encode(claims)}`
  const raw = rawSign('sha256', Buffer.from(input), { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' })
  const [r, s] = [raw.subarray(0, 32), raw.subarray(32)]
  const zero = Buffer.alloc(32)
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const forms: Record<string, Buffer[]> = {
    'r=0': [zero, s],
    's=0': [r, zero],
    'r=0, s=0': [zero, zero],
    'r=n': [order, s],
    's=n': [r, order],
    swapped: [s, r],
    '63 bytes': [raw.subarray(0, 63)],
    '65 bytes': [raw, Buffer.of(0)],
    '65 bytes, a zero first': [Buffer.of(0), raw],
    '66 bytes, a zero before each': [Buffer.of(0), r, Buffer.of(0), s],
  }
  for (const [label, parts] of Object.entries(forms)) {
    await refuses(t, `${input}.${Buffer.concat(parts).toString('base64url')}`, label)
  }
  t.equal(await status(`${input}.${raw.toString('base64url')}`), 200)
})

t.test(
  'tokens issued before, during and after a rotation are valid, those of a removed key are not (J20)',
  async (t) => {
    const { app, time, store, db, status, refuses } = await appWith(t, 'EdDSA')
    const alice = await signUp(app, 'alice')
    const session = {
      id: 'session_01kb3v5rs1e2wbhx4hrsz3zj5f',
      authenticated_at: new Date().toISOString(),
      second_factor: false,
    }
    const issue = () => app.issueAccessToken(alice.id, session, 900).token
    const first = keyOf(app)
    const next = await rotateKeys(store, { atOnce: false })
    await app.signingKeys?.reload()
    t.same(
      (await jwksOf(app)).keys.map((key: { kid: string }) => key.kid),
      [first.kid, next.kid],
      'published',
    )
    t.equal(keyOf(app).kid, first.kid, 'before it signs')

    // Every token issued during the rotation is valid until it expires.
    const live: { token: string; until: number }[] = []
    const end = next.signsFrom + 900 + 30 + 60
    for (; time.now < end - 30; time.now += 30) {
      live.push({ token: issue(), until: time.now + 900 })
      for (const { token, until } of live) {
        if (time.now < until && (await status(token)) !== 200) t.fail(`refused at ${time.now}`)
      }
    }
    const kids = new Set(
      live.map(({ token }) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid),
    )
    t.same([...kids], [first.kid, next.kid])

    const header = { alg: 'EdDSA', typ: 'at+jwt', kid: first.kid }
    const forged = signWith(first.key, header, goodClaims(time.now))
    t.equal(await status(forged), 200, 'verified and remembered (A32)')
    time.now = end
    await refuses(t, forged, 'the key is retired (A32)')
    await app.signingKeys?.reload()
    await refuses(t, forged, 'the key is removed')
    t.same(
      (await jwksOf(app)).keys.map((key: { kid: string }) => key.kid),
      [next.kid],
    )
    t.equal((await db.selectFrom('signing_keys').select('kid').execute()).length, 1)
  },
)

t.test('a key that is deleted from the table stops verifying at the next reload', async (t) => {
  const { app, time, store, db, status, refuses } = await appWith(t, 'EdDSA')
  const { key, kid } = keyOf(app)
  const token = signWith(key, { alg: 'EdDSA', typ: 'at+jwt', kid }, goodClaims(time.now))
  t.equal(await status(token), 200)
  await rotateKeys(store, { atOnce: true })
  await db.deleteFrom('signing_keys').where('kid', '=', kid).execute()
  await app.signingKeys?.reload()
  await refuses(t, token, 'stolen')
})

for (const alg of ['HS256', 'EdDSA'] as const) {
  t.test(`${alg}: a remembered token is checked by the same rules again (A32)`, async (t) => {
    const { app, time, status, refuses } = await appWith(t, alg)
    const alice = await signUp(app, 'alice')
    for (let at = 0; at < 3; at++) {
      t.equal(
        (await whoami(app, alice.token)).json().sub,
        alice.id,
        'no request sees what another did to its user',
      )
    }
    const issued = time.now
    time.now = issued + 929
    t.equal(await status(alice.token), 200)
    time.now = issued + 930
    await refuses(t, alice.token, 'expired')
    time.now = issued - 30
    t.equal(await status(alice.token), 200)
    time.now = issued - 31
    await refuses(t, alice.token, 'clock set back: issued in the future')
    time.now = issued
    t.equal(await status(alice.token), 200)

    const both = await app.inject({
      url: `/whoami?access_token=${alice.token}`,
      headers: { authorization: `Bearer ${alice.token}` },
    })
    t.equal(both.statusCode, 400, 'two tokens are refused all the same (A31)')
  })

  t.test(
    `${alg}: a valid token is verified once, an invalid one each time: it cannot evict a valid one (A32)`,
    async (t) => {
      const { app, time, status } = await appWith(t, alg)
      const alice = await signUp(app, 'alice')
      const verifications = countVerifications(t, app)
      for (let at = 0; at < 10; at++) {
        time.now++
        t.equal(await status(alice.token), 200)
      }
      t.equal(verifications(), 1)
      const bad = `${alice.token.slice(0, -8)}AAAAAAAA`
      for (let at = 0; at < 10; at++) t.equal(await status(bad), 401)
      t.equal(verifications(), 11)
      t.equal(await status(alice.token), 200)
      t.equal(verifications(), 11)
    },
  )

  t.test(`${alg}: a remembered token is refused when its session ends (A32)`, async (t) => {
    const { app, status, refuses } = await appWith(t, alg)
    const alice = await signUp(app, 'alice')
    t.equal(await status(alice.token), 200)
    const verifications = countVerifications(t, app)
    t.equal((await alice.call('POST', '/api/auth/logout', {})).statusCode, 204)
    await refuses(t, alice.token, 'logged out')
    t.equal(verifications(), 0)
  })
}

/** Counts full verifications, by their requests for a key. */
function countVerifications(t: Test, app: FastifyInstance) {
  const keys: KeySource = app.signingKeys ?? SharedKeys.prototype
  const asked = t.capture(keys, 'verifyingKey', keys.verifyingKey)
  let count = 0
  return () => {
    count += asked().length
    return count
  }
}

t.test('KEY_ROTATION_DAYS: the service rotates keys by itself', async (t) => {
  const { app, time } = await appWith(t, 'EdDSA', { KEY_ROTATION_DAYS: '30' })
  time.now += 30 * day
  await app.signingKeys?.reload()
  t.equal((await jwksOf(app)).keys.length, 2)
})

t.test('a change of SECRET_KEY invalidates no token', async (t) => {
  const db = await database()
  t.teardown(() => db.destroy())
  // Closing an app must not close the shared database.
  const shared = new Proxy(db, {
    get(target, name) {
      if (name === 'destroy') return async () => {}
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const first = await testApp(t, { env: { ALGORITHM: 'ES256' }, db: shared })
  const alice = await signUp(first, 'alice')
  await first.close()

  const changed = { ALGORITHM: 'ES256', SECRET_KEY: 'the new one: c7Wn3eRk8ZqVb5XyT0kk' }
  await t.rejects(testApp(t, { env: changed, db: shared }), {
    name: 'SigningKeyError',
    message: /SECRET_KEY_PREVIOUS/,
  })
  const call = (app: FastifyInstance) =>
    app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${alice.token}` } })
  const second = await testApp(t, { env: { ...changed, SECRET_KEY_PREVIOUS: secret }, db: shared })
  t.equal((await call(second)).statusCode, 200)
  await second.close()
  const third = await testApp(t, { env: changed, db: shared })
  t.equal((await call(third)).statusCode, 200, 'without the previous secret too')
})

t.test('under HS256 there are no key pairs', async (t) => {
  const app = await testApp(t)
  t.equal(app.signingKeys, null)
  const { privateKey } = keyPair('ed25519')
  const alice = await signUp(app, 'alice')
  const token = signWith(privateKey, { alg: 'EdDSA' }, goodClaims())
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)
  const forged = await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })
  t.equal(forged.statusCode, 401)
  t.same(await app.db.selectFrom('signing_keys').selectAll().execute(), [])
})

t.test('the timer reads the keys of other instances, and stops with the app', async (t) => {
  const db = await database()
  const app = Fastify()
  await app.register(databasePlugin, { db })
  const clock = () => 1_800_000_000
  const store = { db, algorithm: 'EdDSA' as const, secret, previousSecret: undefined, clock }
  await app.register(signingKeys, {
    ...store,
    lifetime: 900,
    rotationDays: 0,
    reloadEveryMs: 20,
  })
  await app.ready()
  const made = await rotateKeys(store, { atOnce: true })
  for (let at = 0; at < 100 && keyOf(app).kid !== made.kid; at++)
    await new Promise((done) => setTimeout(done, 20))
  t.equal(keyOf(app).kid, made.kid)
  await app.close()
})
