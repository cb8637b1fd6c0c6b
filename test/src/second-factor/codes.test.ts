import t from 'tap'
import { newRecoveryCodes, parseCode, recoveryCodeMac } from '../../../src/second-factor/codes.ts'

t.test('a code is read as people type it', async (t) => {
  t.same(parseCode('123456'), { kind: 'totp', code: '123456' })
  t.same(parseCode(' 123 456\n'), { kind: 'totp', code: '123456' })
  const [code = ''] = newRecoveryCodes()
  const plain = { kind: 'recovery_code', code: code.replaceAll('-', '') }
  t.same(parseCode(code), plain)
  t.same(parseCode(code.toUpperCase().replaceAll('-', ' ')), plain)
  t.same(parseCode('OiLo1-00000-00000-00000-00000'), {
    kind: 'recovery_code',
    code: `01101${'0'.repeat(20)}`,
  })
  for (const other of [
    '',
    '12345',
    '1234567',
    '１２３４５６',
    'u'.repeat(25),
    `${plain.code}0`,
    plain.code.slice(1),
  ])
    t.equal(parseCode(other), undefined, other)
})

t.test('a MAC is of one secret and one code', async (t) => {
  const [one = '', another = ''] = newRecoveryCodes()
  const secret = Buffer.alloc(20, 1)
  t.same(recoveryCodeMac(secret, one), recoveryCodeMac(secret, one.toUpperCase()))
  t.notSame(recoveryCodeMac(secret, one), recoveryCodeMac(secret, another))
  t.notSame(recoveryCodeMac(secret, one), recoveryCodeMac(Buffer.alloc(20, 2), one))
})
