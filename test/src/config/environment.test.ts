import t from 'tap'
import { load, refusal } from '../../support/load-config.ts'

t.test('an invalid value is reported by the name of its variable, without the value', async (t) => {
  const wrong: Record<string, string[]> = {
    NODE_ENV: ['prod', 'staging'],
    PORT: ['http', '-1', '65536', '80.5'],
    PUBLIC_URL: ['auth.example.com', 'ftp://x.example', 'https://user:pw@x.example', 'https://x.example/?a'],
    DATABASE_URL: ['mysql://db/x', 'latchkey', 'postgres://u:ab/cd@db:5432/x', 'postgres://u:ab%ff@db/x'],
    REDIS_URL: [
      'redis',
      'http://redis:6379',
      'redis://',
      'redis://redis/main',
      'localhost:6379',
      'redis://redis?connectTimeout=5000',
      'redis://redis/1?',
      'redis://redis#1',
      'redis://:%zz@redis',
    ],
    MIGRATE_ON_START: ['maybe'],
    ALGORITHM: ['none', 'HS512', 'eddsa', 'PS256'],
    KEY_ROTATION_DAYS: ['-1', '3651', 'never'],
    ACCESS_TOKEN_EXPIRE_MINUTES: ['0', '1441', 'soon'],
    PASSWORD_BLOCKLIST: ['true', 'list.txt'],
    RATE_LIMITS: ['true'],
    RATE_LIMIT_LOGIN: ['30', '0/1m', '30/m', '30/0m', '30/1w', '-1/1m', '30 / 1m', '1e3/1m', '10000000/1m'],
    RATE_LIMIT_ACCOUNT: ['off', '10/100m'],
    TRUST_PROXY: [
      'true',
      '*',
      '10.0.0.0/33',
      '0.0.0.0/0',
      '::/0',
      '10.0.0.0/8/9',
      '10.0.0.0/8,gateway',
      '10.0.0.0/ 8',
      '10.0.0.0/0x8',
      '10.0.0.0/1e1',
      'fe80::1%eth0',
    ],
    KEEP_ALIVE_SECONDS: ['0', '7201', '70s', '-1'],
    HSTS: ['on', 'max-age', 'max-age=-1', 'max-age=1y', 'max-age=1; preload; x', 'max-age=1\r\nX: y', 'OFF'],
    LOG_LEVEL: ['loud'],
    DATABASE_POOL_SIZE: ['0'],
    APP_URL: ['app.example.com', 'javascript:alert(1)', 'https://x.example/#a', 'https://user:pw@x.example'],
    REQUIRE_EMAIL_VERIFICATION: ['yes', '1'],
    EMAIL_VERIFICATION_HOURS: ['0', '169'],
    PASSWORD_RESET_MINUTES: ['4', '1441'],
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const message = refusal({ [name]: value })
      t.match(message, new RegExp(`^${name} must [^\n]*$`), `${name}=${value}`)
    }
  }
  t.equal(refusal({ PORT: 'x', LOG_LEVEL: 'y' }).split('\n').length, 2, 'one line each')
  t.equal(refusal({ PORT: '', TRUST_PROXY: '' }), 'accepted', 'an empty variable is unset')
})

t.test('white space around a value is removed', async (t) => {
  const values = {
    PUBLIC_URL: 'https://login.example.com',
    APP_URL: 'https://app.example.com',
    AUDIENCE: 'two words',
    LOG_LEVEL: 'warn',
    PORT: '8080',
    SMTP_URL: 'smtp://smtp.example.com',
    MAIL_FROM: 'no-reply@example.com',
    BETTER_AUTH_URL: 'https://app.example.com',
    TRUSTED_ISSUERS: '[]',
    REDIS_URL: 'redis://redis',
    DATA_DIR: './folder',
    RATE_LIMIT_LOGIN: '5/1m',
    TRUST_PROXY: 'loopback',
    CORS_ORIGINS: 'https://app.example.com',
  }
  for (const around of [(x: string) => `${x}\n`, (x: string) => `${x}\r`, (x: string) => ` \t${x} `]) {
    t.same(
      load(Object.fromEntries(Object.entries(values).map(([name, x]) => [name, around(x)]))),
      load(values),
    )
  }
  t.same(load({ PUBLIC_URL: `\ufeff${values.PUBLIC_URL}\u00a0` }), load({ PUBLIC_URL: values.PUBLIC_URL }))
  t.equal(refusal({ PUBLIC_URL: ' \n' }), 'PUBLIC_URL must be set when NODE_ENV=production', 'blank is unset')
})

t.test('control characters in a value are refused', async (t) => {
  for (const name of [
    'PUBLIC_URL',
    'APP_URL',
    'AUDIENCE',
    'DATABASE_URL',
    'REDIS_URL',
    'SMTP_URL',
    'HOST',
    'DATA_DIR',
  ]) {
    for (const character of ['\n', '\t', '\r\n', '\u007f', '\u0085']) {
      t.equal(
        refusal({ [name]: `https://a${character}b` }),
        `${name} must be one line of text without control characters`,
      )
    }
  }
  const issuers = JSON.stringify([
    { issuer: 'https://id.example.com', audience: 'a', jwks_url: 'https://id.example.com/' },
  ])
  t.equal(refusal({ TRUSTED_ISSUERS: issuers.replaceAll(',', ',\n\t') }), 'accepted', 'JSON may have lines')
  t.same(load({ CORS_ORIGINS: 'https://a.example,\nhttps://b.example' }).corsOrigins, [
    'https://a.example',
    'https://b.example',
  ])
})
