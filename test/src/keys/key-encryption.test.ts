import { randomBytes } from 'node:crypto'
import t from 'tap'
import { sealPrivateKey, unsealPrivateKey } from '../../../src/keys/key-encryption.ts'

const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
const privateKey = randomBytes(48)

const unseal = (sealed: string, kid: string, ...[current = secret, previous]: string[]) =>
  unsealPrivateKey(sealed, kid, { secret: current, previousSecret: previous })

t.test('only the same secret and the same kid open what was sealed', async (t) => {
  const sealed = sealPrivateKey(privateKey, 'one', secret)
  t.same(unseal(sealed, 'one'), { privateKey, underPrevious: false })
  t.same(unseal(sealed, 'one', 'another', secret), { privateKey, underPrevious: true })
  t.equal(unseal(sealed, 'one', `${secret}.`, 'another'), undefined)
  t.equal(unseal(sealed, 'two'), undefined, 'a sealed key is bound to its kid')
  t.not(sealPrivateKey(privateKey, 'one', secret), sealed, 'a nonce of its own each time')
})

t.test('a change of any byte, a shorter tag and an empty text are refused', async (t) => {
  const sealed = Buffer.from(sealPrivateKey(privateKey, 'one', secret), 'base64url')
  for (const at of sealed.keys()) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    if (unseal(changed.toString('base64url'), 'one')) t.fail(`byte ${at}`)
  }
  for (const length of [0, 11, 12, 16, 27, 28]) {
    const cut = sealed.subarray(0, length).toString('base64url')
    t.equal(unseal(cut, 'one'), undefined, `${length} bytes`)
  }
})
