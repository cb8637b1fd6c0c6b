import t from 'tap'
import { derivedKeys } from '../../../src/keys/derived-keys.ts'

const secret = 'one secret of at least 32 bytes ....'
const previous = 'another secret of at least 32 bytes .'

t.test('the derived bytes do not change: tokens issued by an earlier version stay valid', async (t) => {
  const { current } = derivedKeys(secret, undefined, 'refresh token')
  t.equal(current.toString('hex'), 'c3b77e74a2a1a6221db2a76ebb72124bc693d17806477ba8ffd11dd461d0b714')
})

t.test('each purpose and each secret has a key of its own', async (t) => {
  const refresh = derivedKeys(secret, previous, 'refresh token')
  t.notSame(refresh.current, refresh.previous)
  t.notSame(refresh.current, derivedKeys(secret, previous, 'one-time token').current)
  t.same(refresh.previous, derivedKeys(previous, undefined, 'refresh token').current)
  t.equal(derivedKeys(secret, undefined, 'refresh token').previous, undefined)
})
