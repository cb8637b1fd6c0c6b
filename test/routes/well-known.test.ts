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

const documents = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']

t.test('the metadata has the URLs of the configuration, whatever the Host header', async (t) => {
  const app = await testApp(t, { env: { PUBLIC_URL: 'https://auth.example.com/', ALGORITHM: 'ES256' } })
  for (const url of documents) {
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }
    const answer = await app.inject({ url, headers })
    t.equal(answer.headers['cache-control'], 'public, max-age=300')
    t.same(answer.json(), {
      issuer: 'https://auth.example.com',
      jwks_uri: 'https://auth.example.com/.well-known/jwks.json',
      token_endpoint: 'https://auth.example.com/oauth/token',
      introspection_endpoint: 'https://auth.example.com/oauth/introspect',
      revocation_endpoint: 'https://auth.example.com/oauth/revoke',
      grant_types_supported: ['client_credentials'],
      response_types_supported: [],
      subject_types_supported: ['public'],
      scopes_supported: ['introspect', 'revocations:read', 'events:read', 'admin:read', 'admin:write'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      introspection_endpoint_auth_methods_supported: ['client_secret_basic'],
      revocation_endpoint_auth_methods_supported: ['none'],
      id_token_signing_alg_values_supported: ['ES256'],
    })
  }
})

t.test('with a path in PUBLIC_URL, the metadata is at every place that clients look at', async (t) => {
  const app = await testApp(t, { env: { PUBLIC_URL: 'https://example.com/auth/v1' } })
  for (const path of documents) {
    for (const url of [path, `/auth/v1${path}`, `${path}/auth/v1`, `${path}/auth/v1?x=1`]) {
      const { issuer, token_endpoint } = (await app.inject(url)).json()
      t.same(
        [issuer, token_endpoint],
        ['https://example.com/auth/v1', 'https://example.com/auth/v1/oauth/token'],
        url,
      )
    }
    for (const url of [`${path}/auth`, `${path}/auth/v1/`, `${path}/auth/v2`, `${path}/AUTH/v1`]) {
      t.equal((await app.inject(url)).statusCode, 404, url)
    }
  }
  t.equal((await app.inject('/.well-known/jwks.json/auth/v1')).statusCode, 404)
  const plain = await testApp(t)
  t.equal((await plain.inject(`${documents[0]}/auth`)).statusCode, 404)
})
