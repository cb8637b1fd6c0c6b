import t from 'tap'
import type { UnverifiedToken } from '../../../src/tokens/jws.ts'
import { VerifiedTokens } from '../../../src/tokens/verified-tokens.ts'

t.test('5,000 verified tokens are remembered, those that were used last', async (t) => {
  const tokens = new VerifiedTokens()
  const token = (n: number) => ({ compact: `token ${n}` }) as UnverifiedToken
  for (let n = 0; n < 5_000; n++) tokens.add(token(n))
  t.ok(tokens.get('token 0'))
  tokens.add(token(5_000))
  t.ok(tokens.get('token 0'), 'used a moment ago')
  t.notOk(tokens.get('token 1'))
})
