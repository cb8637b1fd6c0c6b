import { availableParallelism } from 'node:os'
import pg from 'pg'
import t from 'tap'
import { ConfigError, hashesAtOnce, loadConfig } from '../../../src/config/config.ts'
import { pinnedTls } from '../../../src/db/postgres-url.ts'

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
    budgets: { login: { max: 30, timeWindow: 60_000 }, everything: { max: 1200, timeWindow: 60_000 } },
    trustProxy: false,
    mail: {
      smtp: undefined,
      from: { name: 'Latchkey', address: 'latchkey@localhost' },
      appUrl: 'http://127.0.0.1:8000',
      verificationRequired: false,
      verificationHours: 24,
      resetMinutes: 30,
    },
  })
  t.equal(development.passwordBlocklist, false)
  t.equal(load().passwordBlocklist, true)
  t.equal(load({ PASSWORD_BLOCKLIST: 'off' }).passwordBlocklist, false)
  t.match(load(), { mode: 'production', host: '0.0.0.0', publicUrl: 'https://auth.example.com' })
  t.throws(() => Object.assign(development.hashing, { queue: 1 }), TypeError, 'frozen through and through')
})

t.test('hashes leave a core, and one of the threads that they are computed on', async (t) => {
  for (const [cores, threads, expected] of [
    [1, undefined, 1],
    [2, undefined, 1],
    [4, undefined, 3],
    [16, undefined, 3],
    [16, '2', 1],
    [16, '1', 1],
    [16, '9', 8],
    [16, '64', 15],
    [16, '', 3],
    [16, 'many', 3],
    [16, '0', 3],
  ] as const) {
    t.equal(hashesAtOnce(cores, threads), expected, `${cores} cores, ${threads} threads`)
  }
  t.equal(load().hashing.concurrency, hashesAtOnce(availableParallelism(), undefined))
  t.equal(load({ UV_THREADPOOL_SIZE: '2' }).hashing.concurrency, 1)
  t.equal(load({ UV_THREADPOOL_SIZE: '2', HASH_CONCURRENCY: '7' }).hashing.concurrency, 7)
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
  t.equal(refusal({ PORT: '', TRUST_PROXY: '' }), 'accepted', 'an empty variable is one that is not set')
})

t.test('CORS_ORIGINS takes origins of any scheme, and nothing that is not one', async (t) => {
  const origins = [
    'https://app.example.com',
    'http://localhost:3000',
    'http://[::1]:3000',
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost',
    'app://obsidian.md',
    'chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai',
    'moz-extension://5e1c3a0e-6f0b-4a2d-9d0e-2f1f6f1f0a11',
    'vscode-webview://0abc:8080',
  ]
  t.same(load({ CORS_ORIGINS: origins.join(' , ') }).corsOrigins, origins)
  const wrong = [
    'null',
    '*',
    'file://',
    'file://host',
    'capacitor://',
    'capacitor:localhost',
    'capacitor://localhost/',
    'capacitor://localhost/path',
    'capacitor://user@localhost',
    'capacitor://localhost:0',
    'capacitor://*',
    'Capacitor://localhost',
    'chrome-extension://*',
    'https://app.example.com/',
    'https://APP.example.com',
    'https://app.example.com:443',
    'https://*.example.com',
    'app.example.com',
    'data:text/html,x',
  ]
  for (const origin of wrong) t.match(refusal({ CORS_ORIGINS: origin }), /^CORS_ORIGINS must [^\n]*$/, origin)
})

t.test('HSTS is a year of this host by default, and what it is set to otherwise', async (t) => {
  t.equal(load({}).hsts, 'max-age=31536000')
  t.equal(load({ HSTS: 'off' }).hsts, undefined)
  t.equal(load({ HSTS: '300' }).hsts, 'max-age=300')
  const whole = 'max-age=63072000; includeSubDomains; preload'
  t.equal(load({ HSTS: whole }).hsts, whole)
})

t.test('DATABASE_URL takes what pg can read, a socket too, and nothing else', async (t) => {
  const readable = [
    'postgres://db/x',
    'postgresql://u:p%2Fw@db:5432/x?sslmode=verify-full',
    'postgres://u:a b@db/x',
    'postgres://u:100%@db/x',
    'postgres://u:p@w@db/x',
    'postgres://[::1]:5432/x',
    'postgres:///x?host=/tmp',
    'postgres://u:p@/x?host=/tmp',
    'postgres://%2Fvar%2Frun/x',
    'postgres://',
  ]
  const unreadable = [
    'postgres://u:ab/cd@db:5432/x',
    'postgres://u:ab?cd@db/x',
    'postgres://u:ab#cd@db/x',
    'postgres://u:ab%ff@db/x',
    'postgres://u:a b%80@db/x',
    'postgres://u%ff@db/x',
    'postgres://db/%ff',
    'postgres://%ff/x',
    'postgres://db/x%',
    'postgres://db:99999/x',
    'postgres://<db>/x',
  ]
  const withPg = (connectionString: string) => new pg.Client({ connectionString })
  for (const url of readable) {
    t.doesNotThrow(() => withPg(url), url)
    t.equal(refusal({ DATABASE_URL: url }), 'accepted', url)
  }
  for (const url of unreadable) {
    t.throws(() => withPg(url), url)
    t.match(refusal({ DATABASE_URL: url }), /^DATABASE_URL must be a postgres:[^\n]*$/, url)
  }
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

t.test('whose tokens are accepted', async (t) => {
  const entry = {
    issuer: 'https://id.example.com',
    audience: 'tasks',
    jwks_url: 'https://id.example.com/jwks',
  }
  t.same(load().trustedIssuers, [], 'nobody else')
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

t.test('white space around a value is not part of it', async (t) => {
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
  t.equal(
    refusal({ PUBLIC_URL: ' \n' }),
    'PUBLIC_URL must be set when NODE_ENV=production',
    'nothing else is unset',
  )
})

t.test('a secret with white space around it is refused: who shares it may not trim', async (t) => {
  for (const secret of [
    `${good.SECRET_KEY}\n`,
    `${good.SECRET_KEY}\r`,
    ` ${good.SECRET_KEY}`,
    `\ufeff${good.SECRET_KEY}`,
  ]) {
    for (const name of ['SECRET_KEY', 'SECRET_KEY_PREVIOUS']) {
      t.equal(
        refusal({ [name]: secret }),
        `${name} must not begin or end with white space, such as the line break of a file`,
      )
    }
  }
})

t.test('control characters within a value are refused', async (t) => {
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

t.test('a URL is one as RFC 3986 has it, not as browsers forgive it', async (t) => {
  const forgiven = [
    'HTTPS://auth.example.com',
    'https:auth.example.com',
    'https:/auth.example.com',
    'https:///auth.example.com',
    'https:\\\\auth.example.com',
    'https://auth.example.com\\path',
    'https://auth.example.com/a b',
    'https://auth.example.com/a\u00a0b',
    'https://auth.example.com/%zz',
    'https://auth.example.com/a/../b',
    'https://auth.example.com/ä',
    'https://bücher.example',
    'https://auth%2eexample.com',
    'https://１２７.0.0.1',
    'http://127.1',
    'http://0x7f000001',
    'http://2130706433',
    'https://auth.example.com:99999',
    'https://@auth.example.com',
    'https://auth.example.com?',
    'https://auth.example.com#',
  ]
  const entry = { issuer: 'https://id.example.com', audience: 'tasks' }
  for (const url of forgiven) {
    for (const name of ['PUBLIC_URL', 'APP_URL'])
      t.match(refusal({ [name]: url }), new RegExp(`^${name} must be an http`), url)
    if (url.endsWith('?')) continue
    t.match(refusal({ BETTER_AUTH_URL: url }), /^BETTER_AUTH_URL must be an http/, url)
    t.match(
      refusal({ TRUSTED_ISSUERS: JSON.stringify([{ ...entry, jwks_url: url }]) }),
      /^TRUSTED_ISSUERS\[0\]\.jwks_url must be an http/,
      url,
    )
  }
  for (const url of [
    'http://localhost:8000',
    'http://my_service:8000',
    'https://Auth.Example.com/latchkey',
    'http://127.0.0.1',
    'http://[::1]:8000/',
    'https://xn--bcher-kva.example/a/%C3%A4/~x',
  ]) {
    t.equal(load({ PUBLIC_URL: url }).publicUrl, url.replace(/\/$/, ''), url)
  }
  const jwks_url = 'https://id.example.com/keys?p=policy'
  t.equal(refusal({ TRUSTED_ISSUERS: JSON.stringify([{ ...entry, jwks_url }]) }), 'accepted')
  for (const audience of [' tasks', 'tasks\n', 'ta\tsks', '']) {
    t.match(
      refusal({ TRUSTED_ISSUERS: JSON.stringify([{ ...entry, audience, jwks_url }]) }),
      /^TRUSTED_ISSUERS\[0\]\.audience must be the text/,
    )
  }
})

t.test(
  'SMTP_HELO is the first of PUBLIC_URL, APP_URL and MAIL_FROM that has a name on the network',
  async (t) => {
    const helo = (env: Record<string, string>) => load({ ...mail, ...env }).mail.helo
    t.equal(helo({}), 'auth.example.com')
    t.equal(helo({ PUBLIC_URL: 'http://latchkey:8000' }), 'app.example.com')
    t.equal(helo({ PUBLIC_URL: 'http://10.0.0.5', APP_URL: 'http://[::1]:3000' }), 'example.com')
    t.equal(
      helo({ PUBLIC_URL: 'http://auth.localhost', APP_URL: 'http://localhost', MAIL_FROM: 'a@localhost' }),
      undefined,
    )
    for (const name of ['mx.example.com', 'relay-client', '[192.0.2.1]', '[IPv6:2001:db8::1]']) {
      t.equal(helo({ SMTP_HELO: name }), name)
    }
    for (const name of [
      '192.0.2.1',
      '[192.0.2]',
      '[2001:db8::1]',
      'mx example',
      'mx.example.com.',
      '-x',
      'a..b',
      'x\r\nMAIL',
      'ä.example',
    ]) {
      t.match(refusal({ ...mail, SMTP_HELO: name }), /^SMTP_HELO must be [^\n]*$/, JSON.stringify(name))
    }
  },
)

const mail = {
  SMTP_URL: 'smtp://user:p%40ss@smtp.example.com',
  MAIL_FROM: 'Example <no-reply@example.com>',
  APP_URL: 'https://app.example.com/',
}

t.test('mail: the server, the sender and the pages go together in production', async (t) => {
  t.match(load(mail).mail, {
    smtp: { host: 'smtp.example.com', port: 587, secure: false, auth: { user: 'user', pass: 'p@ss' } },
    from: { name: 'Example', address: 'no-reply@example.com' },
    appUrl: 'https://app.example.com',
  })
  for (const name of ['APP_URL', 'MAIL_FROM'] as const) {
    const { [name]: _, ...others } = mail
    t.equal(refusal(others), `${name} must be set when SMTP_URL is`)
  }
  t.equal(
    refusal({ REQUIRE_EMAIL_VERIFICATION: 'true' }),
    'SMTP_URL must be set when REQUIRE_EMAIL_VERIFICATION=true',
  )
  t.equal(load().mail.smtp, undefined, 'production can do without mail')
  const development = loadConfig({ SMTP_URL: 'smtp://localhost:1025' }, () => 'x')
  t.match(development.mail, { smtp: { port: 1025, auth: undefined }, appUrl: 'http://127.0.0.1:8000' })
})

t.test('SMTP_URL: forms, and what is refused without telling it', async (t) => {
  const smtp = (url: string) => load({ ...mail, SMTP_URL: url }).mail.smtp
  t.same(smtp('smtps://mail.example.com/'), {
    host: 'mail.example.com',
    port: 465,
    secure: true,
    auth: undefined,
  })
  t.match(smtp('smtp://[::1]:2525'), { host: '::1', port: 2525 })
  for (const url of [
    'mail.example.com',
    'https://mail.example.com',
    'smtp://',
    'smtp://s3cret:s3cret@mail.example.com/path',
    'smtp://s3cret:s3cret@mail.example.com?tls.rejectUnauthorized=false',
    'smtp://s3cret:s3cret@mail.example.com#x',
    'smtp://s3cret:100%@mail.example.com',
    'SMTP://mail.example.com',
    'smtp:mail.example.com',
    'smtp://s3cret:a b@mail.example.com',
    'smtp://mail%2eexample.com',
  ]) {
    const message = refusal({ ...mail, SMTP_URL: url })
    t.match(message, /^SMTP_URL must be [^\n]*$/, url)
    t.notMatch(message, /s3cret/)
  }
})

t.test(
  'MAIL_FROM: an address with or without a name, and nothing that a header could be made of',
  async (t) => {
    const from = (text: string) => load({ ...mail, MAIL_FROM: text }).mail.from
    t.same(from('no-reply@example.com'), { name: '', address: 'no-reply@example.com' })
    t.same(from('"Example, Inc." <no-reply@example.com>'), {
      name: 'Example, Inc.',
      address: 'no-reply@example.com',
    })
    t.same(from('Bücher <a@localhost>'), { name: 'Bücher', address: 'a@localhost' })
    for (const text of [
      'Example',
      '<>',
      'a@b@c',
      'A <a@b.c>, B <b@b.c>',
      'A\r\nBcc: x@y.z <a@b.c>',
      'a@b.c\nBcc: x@y.z',
    ]) {
      t.match(refusal({ ...mail, MAIL_FROM: text }), /^MAIL_FROM must be [^\n]*$/, JSON.stringify(text))
    }
  },
)
t.test('REDIS_URL takes credentials, TLS and a database', async (t) => {
  for (const url of ['redis://redis', 'redis://redis:6379/', 'rediss://user:pass@redis.example.com:6380/2']) {
    t.equal(load({ REDIS_URL: url }).redisUrl, url)
  }
  t.equal(load({ REDIS_URL: '' }).redisUrl, undefined)
})

t.test('a budget is a number and a window', async (t) => {
  const { budgets } = load({
    RATE_LIMIT_LOGIN: '5/90s',
    RATE_LIMIT_ACCOUNT: '100/1h',
    RATE_LIMIT_FORGOT: '7/2d',
  })
  t.match(budgets, {
    login: { max: 5, timeWindow: 90_000 },
    account: { max: 100, timeWindow: 3_600_000 },
    forgot: { max: 7, timeWindow: 172_800_000 },
    signup: { max: 20, timeWindow: 60_000 },
  })
  t.equal(load({}).addressLimits, true)
  t.match(load({ RATE_LIMITS: 'off' }), { addressLimits: false, budgets: { account: { max: 10 } } })
})

t.test(
  'a URL of PostgreSQL has no parameter that would be ignored, and none that turns TLS off unseen',
  (t) => {
    const accepted = [
      'sslmode=require',
      'sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem',
      'ssl=true',
      'sslmode=require&uselibpqcompat=true',
      'sslmode=verify-full&sslnegotiation=direct',
      'options=-c search_path=auth',
      'options=-c%20search_path%3Dauth&application_name=auth',
      'host=/run/postgresql&port=5433&user=u&password=p',
    ]
    const refused: Record<string, RegExp> = {
      'sslmod=verify-full': /unknown parameter sslmod;/,
      'SSLMODE=require': /unknown parameter SSLMODE;/,
      'schema=auth': /unknown parameter schema: options=-c/,
      'connection_limit=5': /unknown parameter connection_limit: DATABASE_POOL_SIZE/,
      'pgbouncer=true': /unknown parameter pgbouncer: DATABASE_PREPARE=false/,
      'connect_timeout=10': /unknown parameter connect_timeout;/,
      'channel_binding=require': /unknown parameter channel_binding;/,
      'target_session_attrs=read-write': /unknown parameter target_session_attrs/,
      '__proto__=x': /unknown parameter __proto__;/,
      'c0rrect horse=1': /unknown parameter with an unusual name/,
      'sslmode=Require': /parameter sslmode that must be disable, /,
      'sslmode=': /parameter sslmode that must be/,
      'sslmode=allow': /parameter sslmode that must be/,
      'sslrootcert=system': /parameter sslrootcert that must be a file/,
      'sslrootcert=': /parameter sslrootcert that must be a file/,
      'ssl=false': /parameter ssl that must be true/,
      'ssl=no-verify': /parameter ssl that must be true/,
      'ssl=true&sslmode=disable': /ssl or sslmode, not both/,
      'sslmode=verify-full&sslmode=disable': /the parameter sslmode twice/,
      'sslmode=disable&sslrootcert=/ca.pem': /sslrootcert, and sslmode=disable/,
      'sslmode=no-verify&sslrootcert=/ca.pem': /sslmode=no-verify, which checks no certificate/,
      'sslmode=verify-ca&uselibpqcompat=true': /which need sslrootcert/,
      'sslnegotiation=direct': /sslnegotiation=direct, which needs/,
      'host=a,b': /parameter host that must be one host/,
      'sslmode=require#x': /fragment/,
    }
    for (const name of ['DATABASE_URL', 'MIGRATE_DATABASE_URL']) {
      const withQuery = (query: string) =>
        refusal({ DATABASE_URL: 'postgres://db/x', [name]: `postgres://u@db/x?${query}` })
      for (const query of accepted) t.equal(withQuery(query), 'accepted', query)
      for (const [query, reason] of Object.entries(refused)) {
        t.match(withQuery(query), reason, query)
        t.match(withQuery(query), new RegExp(`^${name} [^\\n]*$`), 'one line')
      }
    }
    t.match(refusal({ DATABASE_URL: 'postgres://a,b/x' }), /^DATABASE_URL must name one host$/)
    const { MIGRATE_DATABASE_URL } = { MIGRATE_DATABASE_URL: 'postgres://db/x' }
    t.equal(
      refusal({ DATABASE_URL: '', MIGRATE_DATABASE_URL, NODE_ENV: 'test' }),
      'DATABASE_URL must be set when MIGRATE_DATABASE_URL is',
    )
    t.end()
  },
)

t.test('what TLS a URL asks for stays what it is, whatever a later driver makes of it', (t) => {
  for (const mode of ['require', 'prefer', 'verify-ca', 'verify-full']) {
    t.equal(
      pinnedTls(`postgres://db/x?a=b&sslmode=${mode}&c=d`),
      'postgres://db/x?a=b&sslmode=verify-full&c=d',
    )
  }
  for (const same of ['sslmode=disable', 'sslmode=no-verify', 'sslmode=require&uselibpqcompat=true']) {
    t.equal(pinnedTls(`postgres://db/x?${same}`), `postgres://db/x?${same}`)
  }
  t.end()
})
