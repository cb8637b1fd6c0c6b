import t from 'tap'
import {
  hashToken,
  mailedToken,
  newToken,
  oneTimeKeys,
  tokenPurposes,
} from '../../../src/one-time-tokens/token.ts'
import { refreshKeys } from '../../../src/sessions/refresh-token.ts'
import { secret } from '../../helper.ts'

const other = 'Zx7Qm2Vt9KdW4sRb8NcYf3HgJ6pLaE1u'
const keys = oneTimeKeys(secret, undefined)

t.test('a token has 256 bits, is stored as its hash, and is computed only with the key', async (t) => {
  const seen = new Set<string>()
  for (const purpose of tokenPurposes) {
    for (let round = 0; round < 20; round++) {
      const stored = newToken(keys, purpose)
      const token = mailedToken(keys, stored) ?? ''
      t.match(token, /^[\w-]{43}$/)
      t.same(hashToken(token), stored.token_hash)
      t.equal(mailedToken(keys, stored), token, 'the same again')
      t.equal(mailedToken(oneTimeKeys(other, undefined), stored), undefined)
      seen.add(token)
    }
  }
  t.equal(seen.size, 20 * tokenPurposes.length)
})

t.test('a purpose is part of the token', async (t) => {
  const stored = newToken(keys, 'email_verification')
  for (const purpose of ['password_reset', 'email_change'] as const) {
    t.equal(mailedToken(keys, { ...stored, purpose }), undefined)
  }
})

t.test('a token of the previous secret can be computed while that is configured', async (t) => {
  const stored = newToken(keys, 'password_reset')
  const token = mailedToken(keys, stored)
  t.equal(mailedToken(oneTimeKeys(other, secret), stored), token)
  t.notSame(
    oneTimeKeys(secret, undefined).current,
    refreshKeys(secret, undefined).current,
    'a key of its own',
  )
})
