import t from 'tap'
import { testApp } from '../helper.ts'

t.test(
  'the JWKS is public, cacheable for less than the delay of a new key, without private members',
  async (t) => {
    const app = await testApp(t, { env: { ALGORITHM: 'ES256' } })
    const answer = await app.inject('/.well-known/jwks.json')
    t.equal(answer.statusCode, 200)
    t.equal(answer.headers['cache-control'], 'public, max-age=300')
    t.match(answer.headers['content-type'], /^application\/json/)
    const [key, ...others] = answer.json().keys
    t.same(others, [])
    t.same(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    t.match(key, { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
    t.equal((await app.inject({ method: 'HEAD', url: '/.well-known/jwks.json' })).statusCode, 200)
  },
)

t.test('HS256 publishes no keys', async (t) => {
  const app = await testApp(t)
  t.same((await app.inject('/.well-known/jwks.json')).json(), { keys: [] })
})
