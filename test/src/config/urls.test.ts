import pg from 'pg'
import t from 'tap'
import { load, refusal } from '../../support/load-config.ts'

t.test('CORS_ORIGINS takes origins of any scheme but file:, without path or wildcard', async (t) => {
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

t.test('DATABASE_URL is accepted where pg can parse it, sockets included', async (t) => {
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

t.test('TRUST_PROXY takes addresses, CIDRs and names', async (t) => {
  t.same(load({ TRUST_PROXY: 'loopback, 10.0.0.0/8,fd00::/8,192.0.2.1' }).trustProxy, [
    'loopback',
    '10.0.0.0/8',
    'fd00::/8',
    '192.0.2.1',
  ])
})

t.test('a URL must be valid by RFC 3986, without the leniency of the URL standard', async (t) => {
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

t.test('REDIS_URL may have credentials, TLS and a database number', async (t) => {
  for (const url of ['redis://redis', 'redis://redis:6379/', 'rediss://user:pass@redis.example.com:6380/2']) {
    t.equal(load({ REDIS_URL: url }).redisUrl, url)
  }
  t.equal(load({ REDIS_URL: '' }).redisUrl, undefined)
})

t.test('DATABASE_URL: a parameter that would be ignored or would silently weaken TLS is refused', (t) => {
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
  for (const name of ['DATABASE_URL', 'LISTEN_DATABASE_URL', 'MIGRATE_DATABASE_URL']) {
    const withQuery = (query: string) =>
      refusal({ DATABASE_URL: 'postgres://db/x', [name]: `postgres://u@db/x?${query}` })
    for (const query of accepted) t.equal(withQuery(query), 'accepted', query)
    for (const [query, reason] of Object.entries(refused)) {
      t.match(withQuery(query), reason, query)
      t.match(withQuery(query), new RegExp(`^${name} [^\\n]*$`), 'one line')
    }
  }
  t.match(refusal({ DATABASE_URL: 'postgres://a,b/x' }), /^DATABASE_URL must name one host$/)
  for (const name of ['LISTEN_DATABASE_URL', 'MIGRATE_DATABASE_URL']) {
    t.equal(
      refusal({ DATABASE_URL: '', [name]: 'postgres://db/x', NODE_ENV: 'test' }),
      `DATABASE_URL must be set when ${name} is`,
    )
  }
  t.end()
})
