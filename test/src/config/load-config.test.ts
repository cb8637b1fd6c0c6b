import { availableParallelism } from 'node:os'
import t from 'tap'
import { hashesAtOnce, loadConfig } from '../../../src/config/load-config.ts'
import { load, production, refusal } from '../../support/load-config.ts'

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
  t.throws(() => Object.assign(development.hashing, { queue: 1 }), TypeError, 'frozen deeply')
})

t.test('HASH_CONCURRENCY leaves a core and a thread of the pool free by default', async (t) => {
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

t.test('a weak or published secret is refused (A07)', async (t) => {
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
    if (secret.trim()) t.notOk(message.includes(secret), 'without the value')
    t.match(refusal({ SECRET_KEY_PREVIOUS: secret }), /^SECRET_KEY_PREVIOUS /)
  }
  t.equal(refusal({ SECRET_KEY: 'ä'.repeat(16) }), 'accepted', '32 bytes, not 32 characters')
})

t.test('HSTS is one year of this host by default', async (t) => {
  t.equal(load({}).hsts, 'max-age=31536000')
  t.equal(load({ HSTS: 'off' }).hsts, undefined)
  t.equal(load({ HSTS: '300' }).hsts, 'max-age=300')
  const whole = 'max-age=63072000; includeSubDomains; preload'
  t.equal(load({ HSTS: whole }).hsts, whole)
})

t.test('ALGORITHM is one of four', async (t) => {
  for (const name of ['HS256', 'EdDSA', 'ES256', 'RS256']) t.equal(load({ ALGORITHM: name }).algorithm, name)
  t.equal(load({ KEY_ROTATION_DAYS: '0' }).keyRotationDays, 0)
})

t.test('a secret with white space around it is refused, since other services may not trim it', async (t) => {
  for (const secret of [
    `${production.SECRET_KEY}\n`,
    `${production.SECRET_KEY}\r`,
    ` ${production.SECRET_KEY}`,
    `\ufeff${production.SECRET_KEY}`,
  ]) {
    for (const name of ['SECRET_KEY', 'SECRET_KEY_PREVIOUS']) {
      t.equal(
        refusal({ [name]: secret }),
        `${name} must not begin or end with white space, such as the line break of a file`,
      )
    }
  }
})

t.test(
  'SMTP_HELO defaults to the first of PUBLIC_URL, APP_URL and MAIL_FROM that has a public host name',
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

t.test('SMTP_URL, MAIL_FROM and APP_URL are set together in production', async (t) => {
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
  t.equal(load().mail.smtp, undefined, 'production without mail')
  const development = loadConfig({ SMTP_URL: 'smtp://localhost:1025' }, () => 'x')
  t.match(development.mail, { smtp: { port: 1025, auth: undefined }, appUrl: 'http://127.0.0.1:8000' })
})

t.test('SMTP_URL: accepted forms, and refusals without the value', async (t) => {
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

t.test('MAIL_FROM is an address with or without a name, without header injection', async (t) => {
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
