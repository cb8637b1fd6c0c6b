import argon2 from 'argon2'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { isKnownHash, isOutdated, recommendedCost, verifyHash } from '../../../../src/passwords/hashes.ts'
import { createPasswords } from '../../../../src/passwords/pool.ts'
import { password, problemOf, type TestUser, twoUsers } from '../../../helper.ts'

const typed = 'password123'
/** The 72nd byte is within the last character. */
const beyond72 = `${'p'.repeat(71)}\u00e9`
const composed = 'caf\u00e9 \u00c5ngstr\u00f6m'
const digits = '0123456789'.repeat(30)
const ligature = '\ufb00 caf\u00e9 \u00c5ngstr\u00f6m \u2460'

/** Made by passlib 1.7.4, bcrypt of Python 5.0 and Better Auth 1.7.25. */
const passlib = {
  '2a': {
    [typed]: '$2a$04$AjHsGkDEgsXBA93dDUCUQ.83XXTGd.GBp6J9eVdp3TOGROXD.cHGu',
    [`${beyond72}tail`]: '$2a$04$Gdc4aM.oj8nfA8OG7toqo.InrcOPcs3w7U8hcULVts56fVe6WrJGa',
    [composed]: '$2a$04$AS1rMt2TPe6AY0Y3Q9jz6.qPXpHMMi7gXfrCOQLvD3FnpVZAidu1q',
    [digits]: '$2a$04$PIJGLg.kjN2N6TbLksFE5e5ykMU/gWfaRj5K/PhrP21rudnuqa2I6',
  },
  '2b': {
    [typed]: '$2b$04$2JeeODNxcoy2ocGBpPcEDOi0ugaHJZTWaMHdb2yBGoEVZ6JVuEPri',
    [`${beyond72}tail`]: '$2b$04$6rFlV4JyUqFgb5lQUal7ZOjJuZ3zwzTyA.pA7jBuU8dSKSGVJJGk6',
    [composed]: '$2b$04$cejPQM/gvRTruKkknfOm2.tovGbR54aYfusbwhTLhDtSltmxknauy',
  },
  '2y': {
    [typed]: '$2y$04$YjZDnRAe20kgzSbVZZ7jT.kafhL.DYdVl8SUL7053mB3mp9kuA5P.',
    [`${beyond72}tail`]: '$2y$04$asQAZ6BpYrhvvPM9TB6/Ze8BRQYVGCGaoOcSv0TcdNEpAY88AAPmC',
    [composed.normalize('NFD')]: '$2y$04$uWIMG5Ve9KByyv/HPFr8be7AiLdbyP73CcyobP6bxm0gGeHLEUN4O',
  },
}
const python = '$2b$04$SPjCByqa./fQysqknaGRu.pz/71AFsE1i7YgClHh/IouxF3dPoiFm'
const betterAuth = {
  [typed]:
    '9377f3ccb787a137f1ccf923a156ab2c:f3cb2aaf031d58e6c301d52bd2b62a27243c2000c26d1d79ce57bd29bab2df096f846c3b48be6f7f03eadbcbc1c2ff97cb28f07a559e3d5dd07e0729cf7dd248',
  [ligature]:
    '5a3af05f4ce2907769f2f2249e4866a1:3d9f6e60202e1f761afa11529a16d99521fc6a98991787bd5b5ad34e5b3b310ff3abbc51507b01b393e39862812ac4201f95dccfa33ca0b0c2b9b158235891f3',
}
const otherParameters =
  '$argon2id$v=19$m=65536,t=3,p=4$oVRqzVlLaS2l1For5TzHOA$Y9DBtU3gGORTwAjkmA3d+KgjVXryDRuv1lRpi975PUM'
const otherDecomposed =
  '$argon2id$v=19$m=65536,t=3,p=4$FkLIufeeU2qttZYS4vx/Tw$yjoo/HWWKBt5XTp3y3HVl2H8pDys3ZmUbrMPGiGUhFA'

const bcryptOfPassword = '$2b$04$fw/2egepBGQrIGBbiKL3h.Gpx51kYPNZVfe2gwddJStq9VNQp40/2'
const bcrypt = passlib['2b'][typed] as string
const scrypt = betterAuth[typed] as string

t.test('an imported hash verifies as in its original system', async (t) => {
  const made = [...Object.values(passlib), betterAuth, { [typed]: python }].flatMap((vectors) =>
    Object.entries(vectors),
  )
  for (const [password, hash] of [...made, [typed, otherParameters]] as [string, string][]) {
    t.ok(isKnownHash(hash), hash)
    t.ok(isOutdated(hash), hash)
    t.equal(await verifyHash(hash, password), true, hash)
    t.equal(await verifyHash(hash, `!${password}`), false, hash)
  }
})

t.test('bcrypt uses 72 bytes, even where they end within a character (D03)', async (t) => {
  const hash = passlib['2b'][`${beyond72}tail`] as string
  t.equal(await verifyHash(hash, beyond72), true)
  t.equal(await verifyHash(hash, `${beyond72}another tail`), true)
  t.equal(await verifyHash(hash, 'p'.repeat(71)), false)
  const long = passlib['2a'][digits] as string
  for (const length of [44, 71, 72, 255, 256, 299]) {
    t.equal(await verifyHash(long, digits.slice(0, length)), length >= 72, `$2a$ of ${length}`)
  }
})

t.test('a NUL does not make bcrypt match a repeated password (D04)', async (t) => {
  for (const password of [`${typed}\0`, `${typed}\0${typed}`, `${typed}\0other`]) {
    t.equal(await verifyHash(bcrypt, password), false, JSON.stringify(password))
  }
})

t.test('the Unicode form matters where it mattered in the original system', async (t) => {
  const decomposed = composed.normalize('NFD')
  t.equal(await verifyHash(passlib['2b'][composed] as string, decomposed), false)
  t.equal(await verifyHash(passlib['2y'][decomposed] as string, composed), false)
  t.equal(await verifyHash(betterAuth[ligature] as string, ligature.normalize('NFD')), true)
  t.equal(await verifyHash(betterAuth[ligature] as string, ligature.normalize('NFKC')), true)
  t.equal(await verifyHash(otherDecomposed, decomposed), true)
  t.equal(await verifyHash(otherDecomposed, composed), false)
})

t.test('malformed and too expensive hashes are refused', async (t) => {
  const salt = '2JeeODNxcoy2ocGBpPcEDO'
  const digest = 'i0ugaHJZTWaMHdb2yBGoEVZ6JVuEPri'
  const others = {
    empty: '',
    'a text': 'password123',
    'SHA-crypt': '$5$rounds=5000$abcdefgh$5L2NYLiBxgYcMGj8BuZHXPpJEyXGuwiJr9MUyE0BEx1',
    $2x$: `$2x$04$${salt}${digest}`,
    $2$: `$2$04$${salt}${digest}`,
    'bcrypt in SHA-256': '$bcrypt-sha256$v=2,t=2b,r=4$oBlkEi99xPPuvkiK2Ak9Xu$DCaIK/YNnAowk2eHSnmrNexXbZxWYnm',
    'a cost of 15': `$2b$15$${salt}${digest}`,
    'a cost of 3': `$2b$03$${salt}${digest}`,
    'bcrypt cut short': `$2b$04$${salt}${digest}`.slice(0, -1),
    'bcrypt and more': `$2b$04$${salt}${digest}.`,
    'a line after bcrypt': `$2b$04$${salt}${digest}\n`,
    'bcrypt with a salt of 130 bits': `$2b$04$${salt.slice(0, -1)}P${digest}`,
    'bcrypt with a digest of 186 bits': `$2b$04$${salt}${digest.slice(0, -1)}j`,
    'scrypt in capitals': scrypt.toUpperCase(),
    'scrypt cut short': scrypt.slice(0, -2),
    'scrypt without a salt': scrypt.slice(32),
    'argon2 without a digest': '$argon2id$v=19$m=19456,t=2,p=1$',
    'argon2 with 1 GiB': otherParameters.replace('m=65536', 'm=1048576'),
    'argon2 with 99 passes': otherParameters.replace('t=3', 't=99'),
    'argon2 without a pass': otherParameters.replace('t=3', 't=0'),
    'argon2 with more lanes than memory': otherParameters.replace('m=65536', 'm=31'),
  }
  for (const [name, hash] of Object.entries(others)) {
    t.notOk(isKnownHash(hash), name)
    await t.rejects(verifyHash(hash, typed), { message: 'malformed or unsupported password hash' }, name)
  }
  for (const cost of ['10', '12', '14'])
    t.ok(isKnownHash(`$2b$${cost}$${salt}${digest}`), `a cost of ${cost}`)
})

t.test('of concurrent upgrades one computes a hash; a current hash needs none (D10)', async (t) => {
  const passwords = createPasswords({ concurrency: 1, queue: 1 })
  const kept: string[] = []
  const keep = async (hash: string) => void kept.push(hash)
  await Promise.all(Array.from({ length: 20 }, () => passwords.upgrade(bcrypt, typed, keep)))
  t.equal(kept.length, 1, 'a queue of one is enough')
  const [hash = ''] = kept
  t.notOk(isOutdated(hash))
  t.ok(await verifyHash(hash, typed))
  await passwords.upgrade(hash, typed, keep)
  t.equal(kept.length, 1)

  const others = [1, 2].map(() => passwords.hash(typed))
  await t.rejects(passwords.upgrade(bcrypt, typed, keep), { code: 'service_unavailable' })
  await Promise.all(others)
  await t.rejects(
    passwords.upgrade(bcrypt, typed, () => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  await passwords.upgrade(bcrypt, typed, keep)
  t.equal(kept.length, 2, 'a failure leaks no slot')
})

const logIn = (app: FastifyInstance, { email }: TestUser, password: string) =>
  app.inject({ method: 'POST', url: '/api/auth/login', payload: { email, password } })

const setHash = (app: FastifyInstance, { id }: TestUser, hash: string | null) =>
  app.db.updateTable('users').set({ password_hash: hash }).where('id', '=', id).execute()

async function hashOf(app: FastifyInstance, { id }: TestUser): Promise<string> {
  const { password_hash } = await app.db
    .selectFrom('users')
    .select('password_hash')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return password_hash ?? ''
}

const upgrades = (app: FastifyInstance) =>
  app.db
    .selectFrom('security_events')
    .select(['user_id', 'session_id', 'ip'])
    .where('event', '=', 'password_hash_upgraded')
    .execute()

const wrong = { status: 401, code: 'invalid_credentials' }

t.test('an imported hash opens its account, and the first login replaces it (D03, D10)', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { hashCost: recommendedCost })
  const bobs = await hashOf(app, bob)
  const cases = { [typed]: bcrypt, [ligature]: betterAuth[ligature] as string }
  for (const [typed, hash] of Object.entries(cases)) {
    await app.db.deleteFrom('security_events').execute()
    await setHash(app, alice, hash)
    t.match(problemOf(await logIn(app, alice, 'another password')), wrong, hash)
    t.equal(await hashOf(app, alice), hash, 'a wrong password changes nothing')
    const login = await logIn(app, alice, typed)
    t.equal(login.statusCode, 200, hash)
    t.equal(login.json().user.id, alice.id)
    const upgraded = await hashOf(app, alice)
    t.match(upgraded, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    t.match(await upgrades(app), [{ user_id: alice.id, session_id: /^session_/, ip: '127.0.0.1' }])
    t.equal((await logIn(app, alice, typed)).statusCode, 200, 'and again')
    t.equal(await hashOf(app, alice), upgraded)
    t.equal((await upgrades(app)).length, 1)
  }
  t.equal(await hashOf(app, bob), bobs)
  t.match(problemOf(await logIn(app, bob, typed)), wrong)

  await setHash(app, alice, passlib['2y'][`${beyond72}tail`] as string)
  t.equal((await logIn(app, alice, `${beyond72}tail`)).statusCode, 200)
  t.match(problemOf(await logIn(app, alice, `${beyond72}other`)), wrong, 'all bytes count after the upgrade')
})

t.test('20 concurrent logins all succeed, and upgrade once (D10)', async (t) => {
  const lines: { event?: string; level: number }[] = []
  const log = (line: string) => void lines.push(JSON.parse(line))
  const { app, alice, bob } = await twoUsers(t, { env: { LOG_LEVEL: 'info' }, log })
  const bobs = await hashOf(app, bob)
  await setHash(app, alice, bcrypt)
  const answers = await Promise.all(Array.from({ length: 20 }, () => logIn(app, alice, typed)))
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  t.equal((await upgrades(app)).length, 1)
  const logged = lines.filter(({ event }) => event?.startsWith('password_hash'))
  t.match(logged, [{ event: 'password_hash_upgraded', user_id: alice.id, level: 30 }])
  t.equal(logged.length, 1)
  t.equal(await hashOf(app, bob), bobs)
})

/** Simulates a race: runs a function between the first verification of a password and its use. */
function onceVerified(app: FastifyInstance, meanwhile: () => Promise<unknown>) {
  const { verify } = app.passwords
  let pending: typeof meanwhile | undefined = meanwhile
  Object.assign(app.passwords, {
    verify: async (...args: Parameters<typeof verify>) => {
      const matched = await verify(...args)
      await pending?.()
      pending = undefined
      return matched
    },
  })
}

t.test('a verified password is accepted after a concurrent upgrade, not after a change', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const upgraded = await argon2.hash(password, { memoryCost: 19_456, timeCost: 2, parallelism: 1 })
  const changed = await argon2.hash('a new password', { memoryCost: 64 })
  const actions: Record<string, [number, (user: TestUser) => Promise<{ statusCode: number }>]> = {
    login: [200, (user) => logIn(app, user, password)],
    change: [
      204,
      (user) =>
        user.call('PUT', '/api/auth/password', { current_password: password, new_password: 'the next one' }),
    ],
    deletion: [204, (user) => user.call('POST', '/api/auth/me/delete', { password })],
  }
  for (const [name, [status, act]] of Object.entries(actions)) {
    onceVerified(app, () => setHash(app, alice, changed))
    await setHash(app, alice, upgraded)
    t.equal((await act(alice)).statusCode, 401, `${name}: changed`)
    t.equal(await hashOf(app, alice), changed)
    onceVerified(app, () => setHash(app, bob, upgraded))
    await setHash(app, bob, bcryptOfPassword)
    t.equal((await act(bob)).statusCode, status, `${name}: upgraded`)
  }
  t.equal(
    await app.db.selectFrom('users').select('id').where('id', '=', bob.id).executeTakeFirst(),
    undefined,
  )
})

t.test('a failed upgrade is logged and does not fail the login (D10)', async (t) => {
  const lines: string[] = []
  const { app, alice, bob } = await twoUsers(t, {
    env: { LOG_LEVEL: 'warn' },
    log: (line) => lines.push(line),
  })
  await sql`alter table users add constraint legacy check (password_hash not like '$argon2%') not valid`.execute(
    app.db,
  )
  for (const user of [alice, bob]) {
    lines.length = 0
    await setHash(app, user, bcrypt)
    t.equal((await logIn(app, user, typed)).statusCode, 200)
    t.equal(await hashOf(app, user), bcrypt)
    t.equal(lines.length, 1)
    t.match(JSON.parse(lines[0] ?? ''), {
      event: 'password_hash_upgrade_failed',
      user_id: user.id,
      level: 40,
    })
    t.notMatch(lines[0], /\$2b\$|\$argon2|password123/)
  }
  t.same(await upgrades(app), [])
  await sql`alter table users drop constraint legacy`.execute(app.db)
})
