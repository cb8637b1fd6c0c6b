import t from 'tap'
import { mfaTokenKeys, newMfaToken, parseMfaToken } from '../../../src/second-factor/mfa-token.ts'

const keys = mfaTokenKeys('a secret of thirty-two bytes, say', undefined)
const claim = { userId: 'user_1', device: undefined, expiresAt: 1_800_000_000 }
const binding = { passwordHash: '$argon2id$1', factor: 'factor 1' }

t.test('a token verifies for its account, password and factor only', async (t) => {
  const token = newMfaToken(keys, claim, binding)
  const parsed = parseMfaToken(token)
  t.match(parsed, claim)
  t.equal(parsed?.verifies(keys, binding), true)
  t.equal(parsed?.verifies(keys, { ...binding, passwordHash: '$argon2id$2' }), false)
  t.equal(parsed?.verifies(keys, { ...binding, factor: 'factor 2' }), false)
  t.notSame(parsed?.hash, parseMfaToken(newMfaToken(keys, claim, binding))?.hash, 'no two are alike')

  const rotated = mfaTokenKeys('another secret of thirty-two bytes', 'a secret of thirty-two bytes, say')
  t.equal(parsed?.verifies(rotated, binding), true, 'made under the previous secret')
  t.equal(parsed?.verifies(mfaTokenKeys('another secret of thirty-two bytes', undefined), binding), false)
})

t.test('no claim of a token can be changed', async (t) => {
  const bytes = Buffer.from(newMfaToken(keys, claim, binding), 'base64url')
  for (const [from, to] of [
    ['user_1', 'user_2'],
    ['1800000000', '1900000000'],
    ['""', '"session_1"'],
  ] as const) {
    const forged = Buffer.concat([
      bytes.subarray(0, 32),
      Buffer.from(bytes.subarray(32).toString().replace(from, to)),
    ])
    const parsed = parseMfaToken(forged.toString('base64url'))
    t.notSame(parsed && [parsed.userId, parsed.device, parsed.expiresAt], Object.values(claim), to)
    t.equal(parsed?.verifies(keys, binding), false, to)
  }
})

t.test('what is no token is none', async (t) => {
  const list = (value: unknown) => Buffer.concat([Buffer.alloc(32), Buffer.from(JSON.stringify(value))])
  const texts = ['', 'x', 'a.b', '='.repeat(60), `${newMfaToken(keys, claim, binding)}=`]
  const values = [
    null,
    {},
    [],
    ['user_1'],
    [1, '', 2, 'x'],
    ['user\0', '', 2, 'x'],
    ['user 1', '', 2, 'x'],
    ['user_1', '', '2', 'x'],
    ['user_1', null, 2, 'x'],
  ]
  for (const text of [...texts, ...values.map((value) => list(value).toString('base64url'))])
    t.equal(parseMfaToken(text), undefined, text)
})
