import t from 'tap'
import { load, refusal } from '../../support/load-config.ts'

t.test('BETTER_AUTH_URL and TRUSTED_ISSUERS: accepted and refused values', async (t) => {
  const entry = {
    issuer: 'https://id.example.com',
    audience: 'tasks',
    jwks_url: 'https://id.example.com/jwks',
  }
  t.same(load().trustedIssuers, [], 'none by default')
  t.same(load({ BETTER_AUTH_URL: 'https://app.example.com/' }).trustedIssuers, [
    {
      issuer: 'https://app.example.com',
      audience: 'https://app.example.com',
      jwksUrl: 'https://app.example.com/api/auth/jwks',
      algorithms: ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256'],
    },
  ])
  const list = (...entries: unknown[]) => ({ TRUSTED_ISSUERS: JSON.stringify(entries) })
  t.match(load(list({ ...entry, algorithms: ['RS256'] })).trustedIssuers, [
    { issuer: 'https://id.example.com', jwksUrl: 'https://id.example.com/jwks', algorithms: ['RS256'] },
  ])
  t.equal(load({ ...list(entry), BETTER_AUTH_URL: 'https://app.example.com' }).trustedIssuers.length, 2)

  const url = 'must be an http(s) URL without credentials'
  const refused: [Record<string, string>, string][] = [
    [{ BETTER_AUTH_URL: 'app.example.com' }, `BETTER_AUTH_URL ${url}`],
    [{ BETTER_AUTH_URL: 'https://user:pass@app.example.com' }, `BETTER_AUTH_URL ${url}`],
    [{ TRUSTED_ISSUERS: 'https://id.example.com' }, 'TRUSTED_ISSUERS must be a JSON list'],
    [{ TRUSTED_ISSUERS: '{}' }, 'TRUSTED_ISSUERS must be a JSON list'],
    [list(entry, { ...entry, jwks_url: 'file:///etc/passwd' }), `TRUSTED_ISSUERS[1].jwks_url ${url}`],
    [
      list({ ...entry, audience: undefined }),
      'TRUSTED_ISSUERS[0].audience must be the text that its tokens have in aud',
    ],
    [
      list({ ...entry, issuer: 'a b' }),
      'TRUSTED_ISSUERS[0].issuer must be the text that its tokens have in iss',
    ],
    [
      list(entry, { ...entry, issuer: 'shared-secret' }),
      'TRUSTED_ISSUERS[1].issuer must not be shared-secret: users of tokens without iss are stored under that name',
    ],
    [
      list({ ...entry, algorithms: ['HS256'] }),
      'TRUSTED_ISSUERS[0].algorithms[0] must be one of EdDSA, ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512',
    ],
    [
      list({ ...entry, algorithms: [] }),
      'TRUSTED_ISSUERS[0].algorithms must be a list of at least one algorithm',
    ],
    [
      list({ ...entry, secret: 'hunter2' }),
      'TRUSTED_ISSUERS[0].secret must be left out: there is no such member',
    ],
    [list(entry, entry), 'TRUSTED_ISSUERS must not name an issuer twice, nor the one of BETTER_AUTH_URL'],
    [{ TRUSTED_TOKEN_MAX_DAYS: '0' }, 'TRUSTED_TOKEN_MAX_DAYS must be a whole number from 1 to 3660'],
  ]
  for (const [env, message] of refused) t.equal(refusal(env), message)
  t.match(
    refusal({ BETTER_AUTH_URL: 'https://auth.example.com' }),
    /^PUBLIC_URL must differ from BETTER_AUTH_URL/,
  )
})
