import t from 'tap'
import { endOf, rotationIsDue, signingKeyAt, stateOf } from '../../../src/keys/signing-keys.ts'

const lifetime = 900
const keys = [
  { kid: 'a', signsFrom: 1_000 },
  { kid: 'b', signsFrom: 5_000 },
  { kid: 'c', signsFrom: 9_000 },
]

t.test('the latest key whose time has come signs', async (t) => {
  const at = (now: number) => signingKeyAt(keys, now)?.kid
  t.same([at(999), at(1_000), at(4_999), at(5_000), at(20_000)], [undefined, 'a', 'a', 'b', 'c'])
})

t.test('a key ends when its successor signs and its last token has expired', async (t) => {
  // 30 s of skew, and two reloads of 30 s during which an instance may still sign with it.
  t.equal(endOf(keys, 0, lifetime), 5_000 + 900 + 30 + 60)
  t.equal(endOf(keys, 2, lifetime), Number.POSITIVE_INFINITY)
})

t.test('states depend on the time only', async (t) => {
  const states = (now: number) => keys.map((_, index) => stateOf(keys, index, lifetime, now)).join()
  t.equal(states(4_000), 'signing,next,next')
  t.equal(states(5_000), 'verifying,signing,next')
  t.equal(states(5_989), 'verifying,signing,next')
  t.equal(states(5_990), 'ended,signing,next')
  t.equal(states(9_990), 'ended,ended,signing')
})

t.test('the newest key is replaced at its maximum age, and never with 0', async (t) => {
  const day = 86_400
  t.notOk(rotationIsDue(keys, 90, 9_000 + 90 * day - 1))
  t.ok(rotationIsDue(keys, 90, 9_000 + 90 * day))
  t.notOk(rotationIsDue(keys, 0, 9_000 + 9_000 * day))
})
