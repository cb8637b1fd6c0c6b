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
      list({ ...entry, hunter2: 'x' }),
      'TRUSTED_ISSUERS[0] must have no other members than issuer, audience, jwks_url, secret and algorithms',
    ],
    [
      list(entry, entry),
      'TRUSTED_ISSUERS[1].issuer must not be that of another entry, or of BETTER_AUTH_URL',
    ],
    [
      { ...list({ ...entry, issuer: 'https://a.example' }), BETTER_AUTH_URL: 'https://a.example' },
      'TRUSTED_ISSUERS[0].issuer must not be that of another entry, or of BETTER_AUTH_URL',
    ],
    [{ TRUSTED_TOKEN_MAX_DAYS: '0' }, 'TRUSTED_TOKEN_MAX_DAYS must be a whole number from 1 to 3660'],
  ]
  for (const [env, message] of refused) t.equal(refusal(env), message)
  t.match(
    refusal({ BETTER_AUTH_URL: 'https://auth.example.com' }),
    /^PUBLIC_URL must differ from BETTER_AUTH_URL/,
  )
})

t.test('an issuer has a jwks_url, a secret, or a discovery document', async (t) => {
  const named = { issuer: 'https://id.example.com/', audience: 'tasks' }
  const secret = 'u7Wb2QxKp9RmZt4VnY6cLs8DfGh1JaEo'
  const jwks_url = 'https://id.example.com/jwks'
  const list = (entry: object) => ({ TRUSTED_ISSUERS: JSON.stringify([entry]) })
  t.same(load(list({ ...named, secret })).trustedIssuers, [{ ...named, secret }])
  t.same(load(list(named)).trustedIssuers, [named])
  t.same(load(list({ ...named, issuer: 'id', secret })).trustedIssuers, [{ ...named, issuer: 'id', secret }])

  const at = 'TRUSTED_ISSUERS[0]'
  const refused: [object, string][] = [
    [{ ...named, secret, jwks_url }, `${at}.jwks_url must be left out beside a secret`],
    [
      { ...named, secret, algorithms: ['RS256'] },
      `${at}.algorithms must be left out beside a secret, which is for HS256`,
    ],
    [
      { ...named, issuer: 'id' },
      `${at}.jwks_url or secret must be set where the issuer is not an http(s) URL with a discovery document`,
    ],
    [{ ...named, secret: 7 }, `${at}.secret must be a text of 32 bytes or more`],
    [{ ...named, secret: '' }, `${at}.secret must not be empty`],
    [
      { ...named, secret: secret.slice(1) },
      `${at}.secret must be at least 32 bytes; \`openssl rand -base64 32\` makes one`,
    ],
    [
      { ...named, secret: `-----BEGIN PUBLIC KEY-----\n${secret}` },
      `${at}.secret must be a random text, not a PEM or SSH key`,
    ],
  ]
  for (const [entry, message] of refused) t.equal(refusal(list(entry)), message)
})

t.test('BETTER_AUTH_SECRET is for the Better Auth of BETTER_AUTH_URL', async (t) => {
  const BETTER_AUTH_SECRET = 'u7Wb2QxKp9RmZt4VnY6cLs8DfGh1JaEo'
  const BETTER_AUTH_URL = 'https://app.example.com'
  const { trustedIssuers, secretKey } = load({ BETTER_AUTH_URL, BETTER_AUTH_SECRET })
  t.match(trustedIssuers, [
    { issuer: BETTER_AUTH_URL, jwksUrl: `${BETTER_AUTH_URL}/api/auth/jwks`, secret: BETTER_AUTH_SECRET },
  ])
  t.not(secretKey, BETTER_AUTH_SECRET)
  const short = 'BETTER_AUTH_SECRET must be at least 32 bytes; `openssl rand -base64 32` makes one'
  t.equal(refusal({ BETTER_AUTH_SECRET }), 'BETTER_AUTH_URL must be set when BETTER_AUTH_SECRET is')
  t.equal(refusal({ BETTER_AUTH_URL, BETTER_AUTH_SECRET: BETTER_AUTH_SECRET.slice(1) }), short)
  t.equal(
    refusal({ BETTER_AUTH_URL, BETTER_AUTH_SECRET: '' }),
    'BETTER_AUTH_SECRET must not be empty',
    'as SECRET_KEY',
  )
  t.equal(
    refusal({ BETTER_AUTH_URL, BETTER_AUTH_SECRET: `${BETTER_AUTH_SECRET} ` }),
    'BETTER_AUTH_SECRET must not begin or end with white space, such as the line break of a file',
  )
})
