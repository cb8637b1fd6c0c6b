import t from 'tap'
import type { UnverifiedToken } from '../../../src/tokens/jws.ts'
import { VerifiedTokens } from '../../../src/tokens/verified-tokens.ts'

t.test('the 5,000 most recently used tokens are remembered', async (t) => {
  const tokens = new VerifiedTokens()
  const token = (n: number) => ({ compact: `token ${n}` }) as UnverifiedToken
  for (let n = 0; n < 5_000; n++) tokens.add(token(n))
  t.ok(tokens.get('token 0'))
  tokens.add(token(5_000))
  t.ok(tokens.get('token 0'), 'used a moment ago')
  t.notOk(tokens.get('token 1'))
})
