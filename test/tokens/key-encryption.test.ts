import { randomBytes } from 'node:crypto'
import t from 'tap'
import { sealPrivateKey, unsealPrivateKey } from '../../src/tokens/key-encryption.ts'

const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
const privateKey = randomBytes(48)

t.test('only the same secret and the same kid open what was sealed', async (t) => {
  const sealed = sealPrivateKey(privateKey, 'one', secret)
  t.same(unsealPrivateKey(sealed, 'one', secret), privateKey)
  t.equal(unsealPrivateKey(sealed, 'one', `${secret}.`), undefined)
  t.equal(unsealPrivateKey(sealed, 'two', secret), undefined, 'a row cannot pass for another')
  t.not(sealPrivateKey(privateKey, 'one', secret), sealed, 'a nonce of its own each time')
})

t.test('a change of any byte, a shorter tag and no text at all are refused', async (t) => {
  const sealed = Buffer.from(sealPrivateKey(privateKey, 'one', secret), 'base64url')
  for (const at of sealed.keys()) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    if (unsealPrivateKey(changed.toString('base64url'), 'one', secret)) t.fail(`byte ${at}`)
  }
  for (const length of [0, 11, 12, 16, 27, 28]) {
    const cut = sealed.subarray(0, length).toString('base64url')
    t.equal(unsealPrivateKey(cut, 'one', secret), undefined, `${length} bytes`)
  }
})
