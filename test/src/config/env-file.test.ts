import t from 'tap'
import { readEnvFile } from '../../../src/config/env-file.ts'
import { knownVariables } from '../../../src/config/environment.ts'

const read = (text: string | Uint8Array) => readEnvFile(Buffer.from(text), knownVariables)

t.test('assignments, comments and quotes are read as Node.js reads them', async (t) => {
  const { values, warnings } = read(
    [
      '# a comment',
      '',
      'NODE_ENV=production # and another',
      '  export HOST = 0.0.0.0 ',
      'MAIL_FROM="Example <no-reply@example.com>"',
      "AUDIENCE='a # b'",
      'DATA_DIR=`./data`',
      "TRUSTED_ISSUERS='[",
      '  {"issuer": "https://id.example.com"}',
      "]'",
      'APP_URL=',
      'ELSEWHERE=anything',
    ].join('\n'),
  )
  t.same(values, {
    NODE_ENV: 'production',
    HOST: '0.0.0.0',
    MAIL_FROM: 'Example <no-reply@example.com>',
    AUDIENCE: 'a # b',
    DATA_DIR: './data',
    TRUSTED_ISSUERS: '[\n  {"issuer": "https://id.example.com"}\n]',
    APP_URL: '',
    ELSEWHERE: 'anything',
  })
  t.same(warnings, [])
})

t.test('a byte order mark and any line ends are accepted', async (t) => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = `\ufeffNODE_ENV=production${end}HOST=0.0.0.0${end}`
    t.same(
      read(text),
      { values: { NODE_ENV: 'production', HOST: '0.0.0.0' }, warnings: [] },
      JSON.stringify(end),
    )
  }
})

t.test('a file that is not UTF-8 is refused', async (t) => {
  const text = 'NODE_ENV=production\nAUDIENCE=ä\n'
  const utf16 = Buffer.from(`\ufeff${text}`, 'utf16le')
  for (const bytes of [
    utf16,
    Buffer.from(utf16).swap16(),
    Buffer.from(text, 'utf16le'),
    Buffer.from(text, 'latin1'),
  ]) {
    t.throws(() => read(bytes), { name: 'ConfigError', message: /^\.env must be saved as UTF-8/ })
  }
})

t.test('a line that is no assignment is reported, and the next one is read', async (t) => {
  for (const line of [
    'NODE_ENV production',
    'garbage',
    '=5',
    '// PORT=1',
    '\u00a0PORT=1',
    'PORT: 1',
    'A B=1',
    '- PORT=1',
  ]) {
    t.same(
      read(`LOG_LEVEL=warn\n${line}\nNODE_ENV=production\n`),
      {
        values: { LOG_LEVEL: 'warn', NODE_ENV: 'production' },
        warnings: ['.env line 2: not an assignment, and ignored'],
      },
      line,
    )
  }
})

t.test('unclosed quotes and misplaced signs are reported', async (t) => {
  t.match(read('DATA_DIR="./data\nNODE_ENV=production\nAUDIENCE="x"\n'), {
    warnings: [
      '.env line 1: the value of DATA_DIR goes on to line 3, and takes the line with it that sets NODE_ENV',
      '.env line 1: the value of DATA_DIR goes on to line 3, and takes the line with it that sets AUDIENCE',
      /^\.env line 1: the value of DATA_DIR ends before a #, or at its second quote/,
    ],
  })
  t.same(read("DATA_DIR='./data\nNODE_ENV=production\n"), {
    values: { DATA_DIR: "'./data", NODE_ENV: 'production' },
    warnings: ['.env line 1: the value of DATA_DIR begins with a quote that does not end'],
  })
  for (const text of ['SECRET_KEY=s3cret#s3cret', 'SECRET_KEY="s3cret"s3cret', "SECRET_KEY='it''s s3cret'"]) {
    const { warnings } = read(text)
    t.match(
      warnings,
      [/^\.env line 1: the value of SECRET_KEY ends before a #, or at its second quote/],
      text,
    )
    t.notMatch(warnings.join(), /s3cret/)
  }
  t.same(read('PORT=1\nPORT=2'), {
    values: { PORT: '2' },
    warnings: ['.env line 2: PORT is set again, and this one counts'],
  })
})

t.test('a probable misspelling of a variable is reported, and no other name', async (t) => {
  const near: Record<string, string> = {
    RATE_LIMIT: 'RATE_LIMITS',
    NODE_EVN: 'NODE_ENV',
    node_env: 'NODE_ENV',
    SECRETKEY: 'SECRET_KEY',
    'SECRET-KEY': 'SECRET_KEY',
    TRUSTED_ISSUER: 'TRUSTED_ISSUERS',
    CORS_ORIGIN: 'CORS_ORIGINS',
    PROT: 'PORT',
    DATABASE_URI: 'DATABASE_URL',
  }
  for (const [name, meant] of Object.entries(near)) {
    t.same(read(`${name}=x`).warnings, [`.env line 1: ${name} is not read: did you mean ${meant}?`])
  }
  const others = [
    'POSTGRES_PASSWORD',
    'REDIS_HOST',
    'SMTP_USER',
    'SMTP_PORT',
    'SMTP_HOST',
    'DB_HOST',
    'BETTER_AUTH_SECRET',
  ]
  others.push(
    'DATABASE_USER',
    'DATABASE_NAME',
    'NEXT_PUBLIC_APP_NAME',
    'TZ',
    'UV_THREADPOOL_SIZE',
    'LOG_FILE',
  )
  for (const name of [...others, ...knownVariables]) t.same(read(`${name}=x`).warnings, [], name)
  t.same(read('NODE_OPTIONS=--inspect').warnings, [
    '.env line 1: NODE_OPTIONS has no effect here: set it in the environment',
  ])
})
