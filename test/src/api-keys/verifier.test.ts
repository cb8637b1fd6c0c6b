import t, { type Test } from 'tap'
import { newKeyText } from '../../../src/api-keys/text.ts'
import { KeyVerifier } from '../../../src/api-keys/verifier.ts'
import { Revocations } from '../../../src/sessions/revocations.ts'
import type { Principal } from '../../../src/tokens/owner.ts'

const now = 1_800_000_000

const principal = (keyId: string, more: Partial<Principal> = {}): Principal => ({
  sub: 'alice',
  userId: 'alice',
  issuer: undefined,
  sid: undefined,
  issuedAt: now - 60,
  expiresAt: now + 60,
  scopes: ['tasks:read'],
  keyId,
  ...more,
})

/** A verifier on keys by text, with a clock and the look-ups that it makes. */
function setUp(_: Test, keys: Record<string, Principal>, held?: () => Promise<void>) {
  const time = { now, monotonic: 0 }
  const revocations = new Revocations(
    () => time.now,
    () => time.monotonic,
  )
  revocations.heard(revocations.now)
  const looked: string[] = []
  const verifier = new KeyVerifier({
    async find({ text }) {
      looked.push(text)
      const found = keys[text]
      await held?.()
      return found
    },
    assertLive: (user) => revocations.assertLive(user),
    clock: () => time.now,
  })
  revocations.onKeyEnded((keyId) => verifier.forget(keyId))
  return { verifier, revocations, looked, time }
}

const ended = (key: string) => [{ key, endsAt: now + 120 }]

t.test('a key is looked up once, also by requests at once', async (t) => {
  const text = newKeyText()
  const { verifier, looked, time } = setUp(t, { [text]: principal('key_1') })
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(text)))
  t.match(await verifier.verify(text), { sub: 'alice', keyId: 'key_1', scopes: ['tasks:read'] })
  t.equal(looked.length, 1)
  time.now += 60
  await t.rejects(verifier.verify(text), { message: 'expired' }, 'to the second')
  t.equal(looked.length, 1)
})

t.test('what has no checksum is not looked up, and what is unknown once', async (t) => {
  const { verifier, looked } = setUp(t, {})
  const text = newKeyText()
  const typo = `${text.slice(0, -1)}${text.endsWith('x') ? 'y' : 'x'}`
  await t.rejects(verifier.verify(typo), { message: 'key_checksum' })
  t.same(looked, [])
  await t.rejects(verifier.verify(text), { message: 'key_unknown' })
  await t.rejects(verifier.verify(text), { message: 'key_unknown' })
  t.same(looked, [text])
})

t.test('guesses evict no valid key', async (t) => {
  const text = newKeyText()
  const { verifier, looked } = setUp(t, { [text]: principal('key_1') })
  await verifier.verify(text)
  for (let guess = 0; guess < 6_000; guess++) await verifier.verify(newKeyText()).catch(() => {})
  looked.length = 0
  await verifier.verify(text)
  t.same(looked, [])
})

t.test('a key that ends is refused from memory, and is looked up again after that', async (t) => {
  const text = newKeyText()
  const keys: Record<string, Principal> = { [text]: principal('key_1') }
  const { verifier, revocations, looked, time } = setUp(t, keys)
  await verifier.verify(text)
  delete keys[text]
  revocations.apply(ended('key_1'))
  await t.rejects(verifier.verify(text), { message: 'key_unknown' })
  t.equal(looked.length, 2, 'the cache has dropped it')

  time.monotonic += 301_000
  revocations.heard(revocations.now)
  revocations.sweep()
  t.equal(revocations.size, 0, 'it is not remembered until it would have expired')
})

t.test('a look-up that began before the key ended does not bring it back (race)', async (t) => {
  const text = newKeyText()
  const keys: Record<string, Principal> = { [text]: principal('key_1') }
  let go = () => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  const { verifier, revocations } = setUp(t, keys, () => held)
  // The row was read, and the answer is on its way.
  const early = verifier.verify(text)
  delete keys[text]
  revocations.apply(ended('key_1'))
  go()
  await t.rejects(early, { message: 'revoked' })
  await t.rejects(verifier.verify(text), { message: 'key_unknown' }, 'nothing was remembered')
})

t.test('while revocations are unknown, or the look-up fails, the answer is 503', async (t) => {
  const text = newKeyText()
  const { verifier, time } = setUp(t, { [text]: principal('key_1') })
  await verifier.verify(text)
  time.monotonic += 10_001
  await t.rejects(verifier.verify(text), { message: 'The service is temporarily unavailable' })

  const failing = setUp(t, {}, () => Promise.reject(new Error('gone')))
  await t.rejects(failing.verifier.verify(text), { message: 'The service is temporarily unavailable' })
  await t.rejects(failing.verifier.verify(text), { message: 'The service is temporarily unavailable' })
  t.equal(failing.looked.length, 2, 'a failure is not a miss')
})

t.test('requests share nothing that one can change (A32)', async (t) => {
  const text = newKeyText()
  const { verifier } = setUp(t, { [text]: principal('key_1') })
  const first = (await verifier.verify(text)) as unknown as { sub: string; scopes: string[] }
  first.sub = 'bob'
  first.scopes.push('tasks:write')
  t.match(await verifier.verify(text), { sub: 'alice', scopes: ['tasks:read'] })
})
