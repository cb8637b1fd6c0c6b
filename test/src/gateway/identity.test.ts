import t from 'tap'
import { identityHeaders, identityOf, nobody } from '../../../src/gateway/identity.ts'

const user = {
  sub: 'x',
  userId: 'https://issuer.example x',
  issuer: 'https://issuer.example',
  sid: undefined,
  issuedAt: 1,
  expiresAt: 2.5,
}

t.test('every header has a value, and one that a header can carry', async (t) => {
  t.same(Object.keys(nobody), identityHeaders)
  t.same(identityOf(user, 'https://own.example'), {
    ...nobody,
    'x-latchkey-user': 'x',
    'x-latchkey-key': 'https%3A%2F%2Fissuer.example%20x',
    'x-latchkey-issuer': 'https://issuer.example',
    'x-latchkey-expires': '2',
  })
  const odd = identityOf(
    {
      ...user,
      issuer: undefined,
      scopes: ['a', 'b'],
      clientId: 'a\r\nb: c',
      acr: 'x'.repeat(2_000),
      authTime: 0.5,
    },
    'https://own.example',
  )
  t.match(odd, {
    'x-latchkey-issuer': 'https://own.example',
    'x-latchkey-scope': 'a b',
    'x-latchkey-client': 'a%0D%0Ab%3A%20c',
    'x-latchkey-acr': '-',
    'x-latchkey-auth-time': '0',
  })
})
