import t from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'

const good = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://latchkey@db/latchkey',
  SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
  PUBLIC_URL: 'https://auth.example.com/',
}

const load = (env: Record<string, string> = {}) => loadConfig({ ...good, ...env }, () => 'generated')

function refusal(env: Record<string, string>): string {
  try {
    load(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return 'accepted'
}

t.test('defaults of development and of production', async (t) => {
  const development = loadConfig({}, (dataDir) => `made in ${dataDir}`)
  t.match(development, {
    mode: 'development',
    host: '127.0.0.1',
    port: 8000,
    publicUrl: 'http://127.0.0.1:8000',
    audience: 'http://127.0.0.1:8000',
    secretKey: 'made in ./data',
    database: { kind: 'embedded', dataDir: './data' },
    accessTokenSeconds: 900,
    algorithm: 'HS256',
    keyRotationDays: 90,
    rateLimits: true,
    trustProxy: false,
  })
  t.match(load(), { mode: 'production', host: '0.0.0.0', publicUrl: 'https://auth.example.com' })
  t.throws(() => Object.assign(development.hashing, { queue: 1 }), TypeError, 'frozen through and through')
})

t.test('A07: what cannot be a secret', async (t) => {
  const secrets: Record<string, RegExp> = {
    '': /^SECRET_KEY must not be empty$/,
    '                                        ': /^SECRET_KEY must not be empty$/,
    'only-thirty-one-bytes-long-heh!': /^SECRET_KEY must be at least 32 bytes/,
    '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A': /^SECRET_KEY .* not a PEM/,
    '# a comment\n-----BEGIN PRIVATE KEY-----\nMIIBIjANBgkqhkiG9w': /^SECRET_KEY .* not a PEM/,
    '{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}': /^SECRET_KEY .* not a JWK/,
    '{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qz"}]}': /^SECRET_KEY .* not a JWK/,
    'super-secret-jwt-token-with-at-least-32-characters-long': /^SECRET_KEY .* published example/,
    '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7': /^SECRET_KEY .* published example/,
    'a-string-secret-at-least-256-bits-long': /^SECRET_KEY .* published example/,
    'your-super-secret-jwt-signing-key-goes-here': /^SECRET_KEY .* published example/,
    'please-change-me-please-change-me-now': /^SECRET_KEY .* published example/,
  }
  for (const [secret, expected] of Object.entries(secrets)) {
    const message = refusal({ SECRET_KEY: secret })
    t.match(message, expected, secret.slice(0, 24))
    if (secret.trim()) t.notOk(message.includes(secret), 'the value is not told')
    t.match(refusal({ SECRET_KEY_PREVIOUS: secret }), /^SECRET_KEY_PREVIOUS /)
  }
  t.equal(refusal({ SECRET_KEY: 'ä'.repeat(16) }), 'accepted', '32 bytes, not 32 characters')
})

t.test('every wrong value is told by name, and none by value', async (t) => {
  const wrong: Record<string, string[]> = {
    NODE_ENV: ['prod', 'staging'],
    PORT: ['http', '-1', '65536', '80.5'],
    PUBLIC_URL: ['auth.example.com', 'ftp://x.example', 'https://user:pw@x.example', 'https://x.example/?a'],
    DATABASE_URL: ['mysql://db/x', 'latchkey'],
    MIGRATE_ON_START: ['maybe'],
    ALGORITHM: ['none', 'HS512', 'eddsa', 'PS256'],
    KEY_ROTATION_DAYS: ['-1', '3651', 'never'],
    ACCESS_TOKEN_EXPIRE_MINUTES: ['0', '1441', 'soon'],
    RATE_LIMITS: ['true'],
    TRUST_PROXY: ['true', '*', '10.0.0.0/33', '0.0.0.0/0', '::/0', '10.0.0.0/8/9', '10.0.0.0/8,gateway'],
    LOG_LEVEL: ['loud'],
    DATABASE_POOL_SIZE: ['0'],
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const message = refusal({ [name]: value })
      t.match(message, new RegExp(`^${name} must [^\n]*$`), `${name}=${value}`)
    }
  }
  t.equal(refusal({ PORT: 'x', LOG_LEVEL: 'y' }).split('\n').length, 2, 'one line each')
  t.equal(refusal({ PORT: '', TRUST_PROXY: '' }), 'accepted', 'an empty variable is one that is not set')
})

t.test('ALGORITHM takes the four by their names', async (t) => {
  for (const name of ['HS256', 'EdDSA', 'ES256', 'RS256']) t.equal(load({ ALGORITHM: name }).algorithm, name)
  t.equal(load({ KEY_ROTATION_DAYS: '0' }).keyRotationDays, 0)
})

t.test('TRUST_PROXY takes addresses, CIDRs and names', async (t) => {
  t.same(load({ TRUST_PROXY: 'loopback, 10.0.0.0/8,fd00::/8,192.0.2.1' }).trustProxy, [
    'loopback',
    '10.0.0.0/8',
    'fd00::/8',
    '192.0.2.1',
  ])
})
