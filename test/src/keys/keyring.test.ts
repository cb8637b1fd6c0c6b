import { createPrivateKey, randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { type KyselyPlugin, sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import { rotateKeys } from '../../../src/keys/key-rotation.ts'
import { Keyring, type KeyringOptions } from '../../../src/keys/keyring.ts'
import { migratedDatabase, secret } from '../../helper.ts'

const day = 86_400
const start = 1_800_000_000
let db: Db

/** A test with an empty table of keys. */
function keyTest(name: string, run: (t: Test) => Promise<unknown>): void {
  t.test(name, async (t) => {
    db = await migratedDatabase(t)
    t.teardown(() => db.destroy())
    await run(t)
  })
}

/** Keyrings on one table and one clock, each with its own memory. */
function instances(
  t: Test,
  { algorithm = 'EdDSA', lifetime = 900, rotationDays = 90, ...more }: Partial<KeyringOptions> = {},
) {
  const time = { now: start }
  /** Milliseconds that cooldowns have waited. */
  const cooldowns = { waited: 0 }
  const errors: unknown[] = []
  const common = {
    db,
    algorithm,
    secret,
    previousSecret: undefined,
    clock: () => time.now,
    lifetime,
    rotationDays,
    monotonic: () => cooldowns.waited,
    sleep: async (ms: number) => {
      await setImmediate()
      cooldowns.waited += ms
    },
  }
  const open = async (own: Partial<KeyringOptions> = {}) => {
    const ring = new Keyring({ ...common, onError: (error) => errors.push(error), ...more, ...own })
    t.teardown(() => ring.close())
    await ring.open()
    return ring
  }
  return { time, cooldowns, errors, common, open }
}

const kidsOf = (ring: Keyring) => ring.publicJwks().map(({ kid }) => kid)
const token = (kid: unknown, alg: unknown = 'EdDSA') => ({ compact: '', header: { alg, kid }, claims: {} })
const stored = () => db.selectFrom('signing_keys').selectAll().orderBy('signs_from').execute()

/** The database, counting its statements. */
function counted(): { db: Db; count: () => number } {
  let count = 0
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      count++
      return node
    },
    transformResult: async ({ result }) => result,
  }
  return { db: db.withPlugin(plugin), count: () => count }
}

keyTest('20 concurrent first starts create one key', async (t) => {
  const { open } = instances(t)
  const rings = await Promise.all(Array.from({ length: 20 }, () => open()))
  t.equal(new Set(rings.map((ring) => ring.signingKey().kid)).size, 1)
  t.equal((await stored()).length, 1)
})

keyTest('20 instances that replace an old key concurrently create one successor', async (t) => {
  const { time, open } = instances(t)
  const rings = await Promise.all(Array.from({ length: 20 }, () => open()))
  const first = rings[0]?.signingKey().kid
  time.now += 90 * day
  await Promise.all(rings.map((ring) => ring.reload()))
  t.equal((await stored()).length, 2)
  for (const ring of rings) t.equal(ring.signingKey().kid, first, 'published before it signs')
  time.now += 600
  t.not(rings[0]?.signingKey().kid, first)
  t.equal(new Set(rings.map((ring) => ring.signingKey().kid)).size, 1, 'without reading the table again')
})

keyTest('KEY_ROTATION_DAYS=0 rotates no key', async (t) => {
  const { time, open } = instances(t, { rotationDays: 0 })
  const ring = await open()
  time.now += 4_000 * day
  await ring.reload()
  t.equal((await stored()).length, 1)
})

keyTest('rotate is refused while a key is pending, and --now skips it', async (t) => {
  const { time, common, open } = instances(t)
  const ring = await open()
  const next = await rotateKeys(common, { atOnce: false })
  t.equal(next.signsFrom, start + 600)
  await t.rejects(rotateKeys(common, { atOnce: false }), {
    name: 'SigningKeyError',
    message: `key ${next.kid} waits to sign from 2027-01-15T08:10:00.000Z; --now makes one that signs at once`,
  })
  const emergency = await rotateKeys(common, { atOnce: true })
  await ring.reload()
  t.equal(ring.signingKey().kid, emergency.kid)
  t.equal(kidsOf(ring).length, 3, 'tokens of the other keys still verify')
  time.now += 600
  t.equal(ring.signingKey().kid, emergency.kid, 'the skipped key never signs')
  time.now += 900
  await ring.reload()
  t.same(kidsOf(ring), [emergency.kid])
  t.same(
    (await stored()).map(({ kid }) => kid),
    [emergency.kid],
    'the others are removed',
  )
  t.equal((await rotateKeys(common, { atOnce: true })).signsFrom, time.now)
})

keyTest('a known kid causes no query, unknown ones at most one a second (A12)', async (t) => {
  const { db, count } = counted()
  const { cooldowns, open, errors } = instances(t, { db })
  const ring = await open()
  const { kid } = ring.signingKey()
  const before = count()
  for (let at = 0; at < 1_000; at++) ring.verifyingKey(token(kid))
  for (const odd of [
    undefined,
    null,
    7,
    {},
    [kid],
    '',
    'k1',
    "' OR 1=1--",
    '\0',
    '__proto__',
    'constructor',
    'x'.repeat(10_240),
    `${kid}=`,
  ]) {
    t.throws(
      () => ring.verifyingKey(token(odd)),
      { message: 'key' },
      JSON.stringify(odd)?.slice(0, 20) ?? 'absent',
    )
  }
  for (const alg of ['HS256', 'none', 'ES256', 'RS256', 'eddsa', null, ['EdDSA']]) {
    t.throws(() => ring.verifyingKey(token(kid, alg)), { message: 'algorithm' })
  }
  t.equal(count(), before, 'no statement so far')

  let refused = 0
  while (cooldowns.waited < 2_500) {
    const flood = Array.from({ length: 50 }, () =>
      ring.verifyingKey(token(randomBytes(32).toString('base64url'))),
    )
    refused += (await Promise.allSettled(flood)).filter(({ status }) => status === 'rejected').length
  }
  t.ok(refused >= 150, `${refused} refused`)
  t.equal(cooldowns.waited, 3_000)
  t.ok(count() - before <= 4, `${count() - before} statements in 3 s`)
  t.same(errors, [])
})

keyTest(
  'a key that another instance has created is found, even right after a reload that missed it',
  async (t) => {
    const { common, open } = instances(t)
    const ring = await open()
    await t.rejects(Promise.resolve(ring.verifyingKey(token(randomBytes(32).toString('base64url')))), {
      message: 'key',
    })
    const made = await rotateKeys(common, { atOnce: true })
    t.match(await ring.verifyingKey(token(made.kid)), /BEGIN PUBLIC KEY/)
  },
)

keyTest('an unreachable database is logged once, and known keys still verify', async (t) => {
  const { open, errors } = instances(t)
  let down = false
  const unreachable = new Proxy(db, {
    get(target, name) {
      if (down && name === 'selectFrom') throw new Error('out of reach')
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const ring = await open({ db: unreachable })
  const { kid } = ring.signingKey()
  down = true
  for (let at = 0; at < 3; at++) await ring.reload()
  t.equal(errors.length, 1)
  t.equal(ring.signingKey().kid, kid)
  t.match(ring.verifyingKey(token(kid)), /BEGIN PUBLIC KEY/)
  await t.rejects(Promise.resolve(ring.verifyingKey(token(randomBytes(32).toString('base64url')))), {
    message: 'key',
  })
  down = false
  await ring.reload()
  down = true
  await ring.reload()
  t.equal(errors.length, 2, 'logged again in the next outage')
})

keyTest('after a change of SECRET_KEY every key is re-encrypted at load', async (t) => {
  const { common, open } = instances(t)
  const before = await open()
  await rotateKeys(common, { atOnce: false })
  const changed = 'another secret: Wn3eRk8ZqVb5XyT0c7',
    old = secret
  const after = await open({ secret: changed, previousSecret: old })
  t.same(kidsOf(after).length, 2)
  t.equal(after.signingKey().kid, before.signingKey().kid)
  const without = await open({ secret: changed })
  t.equal(without.signingKey().key, before.signingKey().key, 'the previous secret is no longer needed')

  await t.rejects(open(), {
    name: 'SigningKeyError',
    message:
      /^signing key [\w-]{43} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one$/,
  })
})

keyTest(
  'an instance that cannot decrypt a new key verifies with it and signs with its old one',
  async (t) => {
    const { common, open, errors } = instances(t)
    const old = await open()
    const { kid } = old.signingKey()
    const changed = { secret: 'another secret: Wn3eRk8ZqVb5XyT0c7', previousSecret: secret }
    await open(changed)
    const made = await rotateKeys({ ...common, ...changed }, { atOnce: true })
    await old.reload()
    t.equal(old.signingKey().kid, kid)
    t.match(old.verifyingKey(token(made.kid)), /BEGIN PUBLIC KEY/)
    t.match(errors, [{ name: 'SigningKeyError' }])
  },
)

keyTest('no key is created under a secret that running instances may not have', async (t) => {
  const { time, common, open } = instances(t)
  const { kid } = (await open()).signingKey()
  const other = { secret: 'another secret: Wn3eRk8ZqVb5XyT0c7' }
  const refusal = { name: 'SigningKeyError', message: /SECRET_KEY_PREVIOUS/ }
  await t.rejects(rotateKeys({ ...common, ...other }, { atOnce: false }), refusal)
  await t.rejects(rotateKeys({ ...common, ...other }, { atOnce: true }), refusal)
  time.now += 90 * day
  await t.rejects(open(other), refusal, 'nor by a start that fails')
  t.same(
    (await stored()).map((key) => key.kid),
    [kid],
  )
})

keyTest('the database contains no private key in clear', async (t) => {
  for (const algorithm of ['EdDSA', 'ES256', 'RS256'] as const) {
    const { open } = instances(t, { algorithm })
    const { key } = (await open()).signingKey()
    const dump = JSON.stringify((await sql`select signing_keys::text from signing_keys`.execute(db)).rows)
    const privateKey = createPrivateKey(key)
    const d = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url')
    t.ok(d.length >= 32)
    for (const encoding of ['base64', 'base64url', 'hex'] as const) {
      t.notOk(dump.includes(d.toString(encoding)), `${algorithm} ${encoding}`)
    }
    const der = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')
    t.notOk(dump.includes(der.slice(0, 40)) || dump.includes('PRIVATE'), algorithm)
    const jwk = (await stored()).find((row) => row.algorithm === algorithm)?.public_jwk ?? {}
    t.same(
      Object.keys(jwk).filter((name) => /^(d|p|q|dp|dq|qi|oth|k)$/.test(name)),
      [],
    )
  }
})

keyTest('keys of another algorithm are ignored', async (t) => {
  const { open } = instances(t)
  const one = await open()
  const other = await open({ algorithm: 'ES256' })
  t.same([kidsOf(one).length, kidsOf(other).length], [1, 1])
  t.not(kidsOf(one)[0], kidsOf(other)[0])
})

keyTest('a start with a clock behind the one that created the first key signs', async (t) => {
  const { time, open } = instances(t)
  await open()
  time.now -= 5
  t.ok((await open()).signingKey().kid)
})
