import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { budgets } from '../../../src/limits/budgets.ts'
import { freePort } from '../../support/free-port.ts'
import { type Service, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'
import { ownRedis } from '../../support/redis.ts'

/** The output of a failed start without log lines; undefined if the start succeeds. */
async function refusedStart(t: Test, url: string, env: Record<string, string> = {}) {
  const settings = await production(t, { REDIS_URL: url, LOG_LEVEL: 'info', ...env })
  const output = await startService(t, settings, t.testdir()).then(
    () => undefined,
    ({ message }: Error) => message.replace('the service ended: ', ''),
  )
  return output?.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
}

const started = async (t: Test, url: string, env: Record<string, string> = {}) =>
  startService(t, await production(t, { REDIS_URL: url, LOG_LEVEL: 'info', ...env }), t.testdir())

const logIn = ({ url }: Pick<Service, 'url'>, email: string) =>
  fetch(`${url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: 'a wrong guess' }),
  })

/** Number of wrong passwords for one account that pass on all instances together. */
async function guessesLetThrough(services: readonly Service[], email: string): Promise<number> {
  for (let sent = 0; ; sent++) {
    const { status } = await logIn(services[sent % services.length] as Service, email)
    if (status === 429) return sent
    if (status !== 401) throw new Error(`answered ${status}`)
  }
}

t.test('a Redis that refuses this service ends the start with one line', async (t) => {
  const acl = ['--user', 'nobody', 'on', '>secret', '~*', '+@connection']
  const reader = ['--user', 'reader', 'on', '>secret', '~*', '+@all', '-incr', '-set']
  const redis = await ownRedis(t, [...acl, ...reader])
  const protectedOne = await ownRedis(t, ['--requirepass', 'secret'])
  const cases: [name: string, url: string, line: RegExp][] = [
    ['NOAUTH', protectedOne.url, /^latchkey: REDIS_URL: Redis asks for a password \(NOAUTH/],
    [
      'WRONGPASS',
      protectedOne.url.replace('//', '//:wrong@'),
      /^latchkey: REDIS_URL: Redis refuses the user or the password \(WRONGPASS/,
    ],
    [
      'an unknown user',
      redis.url.replace('//', '//who:secret@'),
      /refuses the user or the password \(WRONGPASS/,
    ],
    ['NOPERM', redis.url.replace('//', '//nobody:secret@'), /^latchkey: REDIS_URL: the user may not do/],
    [
      'a command in the script',
      redis.url.replace('//', '//reader:secret@'),
      /^latchkey: REDIS_URL: the user may not/,
    ],
    ['/99', `${redis.url}/99`, /^latchkey: REDIS_URL: Redis has no database with this number/],
  ]
  for (const [name, url, line] of cases) {
    const lines = await refusedStart(t, url)
    t.match(lines, [line], name)
    t.equal(lines?.length, 1)
    t.notMatch(lines?.[0], /secret|wrong@/)
  }
  const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  t.teardown(() => web.close())
  const { port } = web.address() as AddressInfo
  t.match(await refusedStart(t, `redis://127.0.0.1:${port}`), [
    /^latchkey: REDIS_URL: the server speaks no Redis there/,
  ])
})

t.test('a refusal by Redis at run time is logged as an error, and limits still apply', async (t) => {
  const redis = await ownRedis(t)
  const service = await started(t, redis.url)
  await redis.command(async (client) => {
    await client.config('SET', 'requirepass', 'secret')
    // Open connections would stay authenticated.
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  })
  for (let at = 0; ; at++) {
    await logIn(service, `a${at}@example.com`)
    const line = service.logged().find(({ msg }) => /Redis refuses the counters/.test(String(msg)))
    if (!line) continue
    t.match(line, { level: 50, err: { message: /^REDIS_URL: Redis asks for a password/ } })
    break
  }
  const { headers } = await fetch(`${service.url}/nowhere`)
  t.equal(headers.get('ratelimit-limit'), String(budgets.everything.max / 4), 'the local limit')
})

t.test('a start without Redis is reported, and responses state the local limit', async (t) => {
  const service = await started(t, `redis://127.0.0.1:${await freePort()}`)
  t.match(service.output(), /limits +stricter ones of this process, until Redis answers\n/)
  const { headers } = await fetch(`${service.url}/nowhere`)
  t.match(
    [headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')],
    [String(budgets.everything.max / 4), String(budgets.everything.max / 4 - 1)],
  )
})

/** A node is not ready right after it was given its slots. */
async function clusterReady(redis: Redis): Promise<void> {
  while (!/cluster_state:ok/.test(String(await redis.call('CLUSTER', 'INFO')))) {}
}

async function assignSlots(url: string, from: number, to: number): Promise<void> {
  const redis = new Redis(url)
  await redis.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to))
  redis.disconnect()
}

const clusterOf = (t: Test) =>
  ownRedis(t, [
    '--cluster-enabled',
    'yes',
    '--cluster-config-file',
    join(mkdtempSync(join(tmpdir(), 'latchkey-redis-')), 'nodes.conf'),
    '--cluster-require-full-coverage',
    'no',
  ])

t.test('a Redis in cluster mode with one node is served', async (t) => {
  const redis = await clusterOf(t)
  await assignSlots(redis.url, 0, 16383)
  await redis.command(clusterReady)
  const [one, two] = [await started(t, redis.url), await started(t, redis.url)]
  t.equal(await guessesLetThrough([one, two], 'alice@example.com'), budgets.account.max)
  t.equal(await guessesLetThrough([one], 'bob@example.com'), budgets.account.max, 'another account')
  for (const { logged } of [one, two]) t.notMatch(JSON.stringify(logged()), /CROSSSLOT|Redis does not answer/)
  const keys = await redis.command((client) => client.keys('*'))
  t.match(keys.filter((key) => /^latchkey:(account|pair) \{[\w-]{22}\}/.test(key)).length, 4)

  t.match(await refusedStart(t, `${redis.url}/1`), [
    /^latchkey: REDIS_URL: Redis in cluster mode has database 0 only/,
  ])
})

t.test('a node of a cluster with several ends the start', async (t) => {
  const [one, two] = [await clusterOf(t), await clusterOf(t)]
  await assignSlots(one.url, 0, 8191)
  await assignSlots(two.url, 8192, 16383)
  const redis = new Redis(one.url)
  await redis.call('CLUSTER', 'MEET', '127.0.0.1', String(two.port))
  while (!/cluster_known_nodes:2/.test(String(await redis.call('CLUSTER', 'INFO')))) {}
  await clusterReady(redis)
  redis.disconnect()
  t.match(await refusedStart(t, one.url), [
    /^latchkey: REDIS_URL: this is one node of a Redis Cluster with several/,
  ])
})

/** A CA, and a certificate for 127.0.0.1 signed by it. */
function certificates(folder: string) {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
    '-days',
    '1',
    '-subj',
    '/CN=Test CA',
  )
  openssl('req', ...key, '-keyout', at('redis.key'), '-out', at('redis.csr'), '-subj', '/CN=redis')
  writeFileSync(at('san'), 'subjectAltName=IP:127.0.0.1')
  const signer = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial']
  openssl(
    'x509',
    '-req',
    '-in',
    at('redis.csr'),
    ...signer,
    '-out',
    at('redis.crt'),
    '-days',
    '1',
    '-extfile',
    at('san'),
  )
  return { ca: at('ca.crt'), certificate: at('redis.crt'), key: at('redis.key') }
}

t.test('a Redis with TLS is served where its CA is known', async (t) => {
  const { ca, certificate, key } = certificates(mkdtempSync(join(tmpdir(), 'latchkey-redis-')))
  const tlsPort = await freePort()
  const files = ['--tls-cert-file', certificate, '--tls-key-file', key, '--tls-ca-cert-file', ca]
  const redis = await ownRedis(t, ['--tls-port', String(tlsPort), ...files, '--tls-auth-clients', 'no'])
  const url = `rediss://127.0.0.1:${tlsPort}`
  const known = { NODE_EXTRA_CA_CERTS: ca }
  const [one, two] = [await started(t, url, known), await started(t, url, known)]
  t.match(one.output(), /limits +counted in Redis, for all instances together\n/)
  t.equal(await guessesLetThrough([one, two], 'alice@example.com'), budgets.account.max)
  t.ok(
    (await redis.command((client) => client.keys('latchkey:account *'))).length > 0,
    'the counters are in this Redis',
  )

  t.match(await refusedStart(t, url), [
    /^latchkey: REDIS_URL: the server's certificate is not signed by a known CA/,
  ])
  t.match(await refusedStart(t, `rediss://localhost:${tlsPort}`, known), [
    /^latchkey: REDIS_URL: the server's certificate is for another name/,
  ])
})
