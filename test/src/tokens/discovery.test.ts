import type { RequestListener, ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { Problem } from '../../../src/problem.ts'
import { JwksCache } from '../../../src/tokens/jwks-cache.ts'
import { DiscoveredJwks } from '../../../src/tokens/jwks-location.ts'
import type { UnverifiedToken } from '../../../src/tokens/jws.ts'
import { listening } from '../../support/better-auth.ts'
import { keyPair } from '../../support/key-pair.ts'

const key = keyPair('ed25519').publicKey.export({ format: 'jwk' })
const token = (kid: string) => ({ compact: '', header: { alg: 'EdDSA', kid }, claims: {} }) as UnverifiedToken

const json = (response: ServerResponse, body: unknown) =>
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body))

/** An issuer with a discovery document, and a cache on it whose clock is ours. */
async function setUp(t: Test, path = '') {
  const asked: string[] = []
  const keys = ['first']
  const answers: Record<string, RequestListener | undefined> = {}
  const server = await listening(t, (request, response) => {
    const { url = '' } = request
    asked.push(url)
    const other = answers[url]
    if (other) return void other(request, response)
    if (url.endsWith('/jwks')) return void json(response, { keys: keys.map((kid) => ({ ...key, kid })) })
    json(response, { issuer, jwks_uri: `${server.origin}/jwks` })
  })
  const issuer = `${server.origin}${path}`
  const time = { now: 1_000_000 }
  const timeouts = { asked: [] as number[], shortened: undefined as number | undefined }
  const warnings: { message: string; reason: string }[] = []
  const cache = new JwksCache({
    location: new DiscoveredJwks(issuer),
    algorithms: ['EdDSA'],
    warn: (message, { err }) => warnings.push({ message, reason: (err as Error).message }),
    monotonic: () => time.now,
    timeout: (ms) => {
      timeouts.asked.push(ms)
      return AbortSignal.timeout(timeouts.shortened ?? ms)
    },
    sleep: async (ms) => {
      time.now += ms
    },
  })
  const outcome = async (kid: string) => {
    try {
      return (await cache.verifyingKey(token(kid))).slice(0, 10) === '-----BEGIN' ? 'found' : 'other'
    } catch (error) {
      return error instanceof Problem ? error.code : (error as Error).message
    }
  }
  return { server, issuer, asked, keys, answers, time, timeouts, warnings, cache, outcome }
}

t.test('the document is read once when keys are first needed, and again after 10 minutes', async (t) => {
  for (const path of ['', '/', '/realms/one', '/realms/one/']) {
    const { asked, keys, time, outcome } = await setUp(t, path)
    const document = `${path.replace(/\/$/, '')}/.well-known/openid-configuration`
    t.same(await Promise.all([outcome('first'), outcome('first')]), ['found', 'found'], path)
    t.same(asked, [document, '/jwks'], path)
    keys.push('second')
    t.equal(await outcome('second'), 'found')
    t.same(asked.slice(2), ['/jwks'], 'a new key asks for keys only')
    time.now += 601_000
    t.equal(await outcome('first'), 'found')
    t.same(asked.slice(3), [document, '/jwks'])
  }
})

t.test('a JWKS that has moved is found', async (t) => {
  const { server, issuer, answers, time, outcome } = await setUp(t)
  t.equal(await outcome('first'), 'found')
  const gone: RequestListener = (_, response) => response.writeHead(404).end()
  answers['/jwks'] = gone
  answers['/.well-known/openid-configuration'] = (_, response) =>
    json(response, { issuer, jwks_uri: `${server.origin}/moved/jwks` })
  time.now += 1_000
  t.equal(await outcome('second'), 'key', 'not there any more')
  t.equal(await outcome('first'), 'found', 'known keys go on')
  answers['/moved/jwks'] = (_, response) => json(response, { keys: [{ ...key, kid: 'second' }] })
  t.equal(await outcome('second'), 'found')
})

t.test('a document that cannot be used: 503 while nothing is known, then known keys (A13)', async (t) => {
  const path = '/.well-known/openid-configuration'
  const { server, issuer, asked, answers, time, warnings, cache, outcome } = await setUp(t)
  const other = await listening(t, () => t.fail('asked'))
  const jwks_uri = `${server.origin}/jwks`
  const says =
    (body: unknown): RequestListener =>
    (_, response) =>
      json(response, body)
  const faults: [label: string, answer: RequestListener, reason?: RegExp][] = [
    ['another issuer', says({ issuer: 'https://id.example.com', jwks_uri }), /is of another issuer/],
    ['a slash more', says({ issuer: `${issuer}/`, jwks_uri }), /is of another issuer/],
    ['no issuer', says({ jwks_uri }), /is of another issuer/],
    ['null', says(null), /is of another issuer/],
    ['no jwks_uri', says({ issuer }), /has no jwks_uri that can be used/],
    ['a file', says({ issuer, jwks_uri: 'file:///etc/passwd' }), /has no jwks_uri/],
    ['credentials', says({ issuer, jwks_uri: jwks_uri.replace('//', '//a:b@') }), /has no jwks_uri/],
    ['a list', says({ issuer, jwks_uri: [jwks_uri] }), /has no jwks_uri/],
    ['404', (_, response) => response.writeHead(404).end(), /answer is 404/],
    ['a redirect', (_, response) => response.writeHead(302, { location: `${other.origin}${path}` }).end()],
    ['a JWKS that redirects', says({ issuer, jwks_uri: `${server.origin}/elsewhere` })],
    ['a page', (_, response) => response.setHeader('content-type', 'text/html').end('{}'), /not JSON/],
    ['too long', says({ issuer, jwks_uri, claims: 'x'.repeat(300_000) }), /longer than/],
  ]
  answers['/elsewhere'] = (_, response) => response.writeHead(307, { location: `${other.origin}/jwks` }).end()
  for (const [label, answer, reason] of faults) {
    answers[path] = answer
    time.now += 1_000
    t.equal(await outcome('first'), 'service_unavailable', label)
    if (reason) t.match(warnings.at(-1)?.reason, reason, label)
    answers[path] = undefined
    time.now += 1_000
    t.equal(await outcome('first'), 'found', `${label}: heals`)
    answers[path] = answer
    time.now += 601_000
    t.equal(await outcome('first'), 'found', `${label}: known keys go on`)
    answers[path] = undefined
    time.now += 1_000
    await cache.warmUp()
    time.now += 4_200_000
  }
  t.ok(asked.length < 150, `${asked.length}`)
})

t.test('a document and keys that come slowly are given up after 2 seconds together (A13)', async (t) => {
  const { answers, timeouts, outcome } = await setUp(t)
  answers['/jwks'] = () => {}
  timeouts.shortened = 100
  t.equal(await outcome('first'), 'service_unavailable')
  t.same(timeouts.asked, [2_000], 'one timeout for both')
})

t.test('an https issuer has no keys over http', async (t) => {
  const { server } = await setUp(t)
  const issuer = 'https://id.example.com'
  const real = globalThis.fetch
  t.teardown(() => {
    globalThis.fetch = real
  })
  globalThis.fetch = async () => Response.json({ issuer, jwks_uri: `${server.origin}/jwks` })
  await t.rejects(new DiscoveredJwks(issuer).fetch(0, AbortSignal.timeout(1_000)), {
    message: 'the discovery document of an https issuer has a jwks_uri without TLS',
  })
})
