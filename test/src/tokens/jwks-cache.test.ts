import { createPublicKey, randomUUID } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Problem } from '../../../src/problem.ts'
import { JwksCache } from '../../../src/tokens/jwks-cache.ts'
import { jwksAt } from '../../../src/tokens/jwks-location.ts'
import type { UnverifiedToken } from '../../../src/tokens/jws.ts'
import { listening } from '../../support/better-auth.ts'
import { keyPair } from '../../support/key-pair.ts'

const jwk = (kid: string) => ({
  ...keyPair('ed25519').publicKey.export({ format: 'jwk' }),
  kid,
  alg: 'EdDSA',
})

const token = (kid: unknown, alg: unknown = 'EdDSA') =>
  ({ compact: '', header: { alg, kid }, claims: {} }) as UnverifiedToken

/** A JWKS endpoint whose answer can change, and a cache on a test clock. */
async function setUp(t: Test, algorithms = ['EdDSA']) {
  const endpoint = {
    fetches: 0,
    keys: [jwk('first')] as object[],
    answer: undefined as RequestListener | undefined,
  }
  const server = await listening(t, (request, response) => {
    endpoint.fetches++
    if (endpoint.answer) return endpoint.answer(request, response)
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: endpoint.keys }))
  })
  const time = { now: 1_000_000 }
  const timeouts = { asked: [] as number[], shortened: undefined as number | undefined }
  const warnings: string[] = []
  const cache = new JwksCache({
    location: jwksAt(`${server.origin}/jwks`),
    algorithms,
    warn: (message) => warnings.push(message),
    monotonic: () => time.now,
    timeout: (ms) => {
      timeouts.asked.push(ms)
      return AbortSignal.timeout(timeouts.shortened ?? ms)
    },
    // Its time passes for others too.
    sleep: async (ms) => {
      await setImmediate()
      time.now += ms
    },
  })
  /** The key, or the error. */
  const pemOf = async (kid: unknown, alg?: unknown) => {
    try {
      return await cache.verifyingKey(token(kid, alg))
    } catch (error) {
      return error instanceof Problem ? error.code : (error as Error).message
    }
  }
  /** `found`, or the error. */
  const outcome = async (kid: unknown, alg?: unknown) => {
    const found = await pemOf(kid, alg)
    return found.startsWith('-----') && createPublicKey(found).asymmetricKeyType === 'ed25519'
      ? 'found'
      : found
  }
  return { endpoint, server, time, timeouts, warnings, cache, pemOf, outcome }
}

t.test('concurrent first requests share one fetch, and a known kid causes none', async (t) => {
  const { endpoint, outcome } = await setUp(t)
  t.same(await Promise.all(Array.from({ length: 20 }, () => outcome('first'))), Array(20).fill('found'))
  t.equal(endpoint.fetches, 1)
  t.equal(await outcome('first'), 'found')
  t.equal(endpoint.fetches, 1)
})

t.test('an invalid kid or algorithm causes no fetch (A12)', async (t) => {
  const { endpoint, outcome } = await setUp(t)
  for (const kid of [undefined, null, '', 7, {}, [], 'x'.repeat(257)])
    t.equal(await outcome(kid), 'key', String(kid))
  t.equal(await outcome('first', 'HS256'), 'algorithm')
  t.equal(await outcome('first', null), 'algorithm')
  t.equal(await outcome('first', ['EdDSA']), 'algorithm')
  t.equal(endpoint.fetches, 0)
  for (const kid of ['__proto__', 'constructor', '../../etc/passwd', "' OR 1=1--", '\0']) {
    t.equal(await outcome(kid), 'key', kid)
  }
})

t.test('unknown kids share a fetch, at most one a second, and past 1,000 none waits (A12)', async (t) => {
  const { endpoint, time, outcome } = await setUp(t)
  t.equal(await outcome('first'), 'found')
  const began = time.now
  let waiting = 0
  const burst = Array.from({ length: 1_200 }, async () => {
    waiting++
    const reason = await outcome(randomUUID())
    waiting--
    return reason
  })
  await new Promise(process.nextTick)
  t.equal(waiting, 1_000, 'the others were refused at once')
  const answers = await Promise.all(burst)
  t.ok(answers.every((reason) => reason === 'key'))
  t.equal(endpoint.fetches, 2)
  for (let at = 0; at < 10; at++) t.equal(await outcome(randomUUID()), 'key')
  t.equal(endpoint.fetches, 12)
  t.ok(time.now - began >= 11_000, 'a second between two of them')
})

t.test('a rotation among made-up kids refuses no token of the new key (A12)', async (t) => {
  const { endpoint, outcome } = await setUp(t)
  t.equal(await outcome('first'), 'found')
  for (let round = 0; round < 5; round++) {
    const junk = Array.from({ length: 50 }, () => outcome(randomUUID()))
    endpoint.keys = [jwk(`next ${round}`), ...endpoint.keys]
    t.same(await Promise.all([outcome(`next ${round}`), outcome('first')]), ['found', 'found'])
    t.same([...new Set(await Promise.all(junk))], ['key'])
  }
  t.ok(endpoint.fetches <= 11, `${endpoint.fetches}`)
})

t.test('a rotation while a fetch has just failed is found by the next one (A13)', async (t) => {
  const { endpoint, time, outcome } = await setUp(t)
  t.equal(await outcome('first'), 'found')
  time.now += 1_000
  endpoint.answer = (_, response) => response.writeHead(500).end()
  t.equal(await outcome('second'), 'key')
  endpoint.answer = undefined
  endpoint.keys = [jwk('second')]
  t.equal(await outcome('second'), 'found')
})

t.test('a key that appears after a fetch is found by the next one', async (t) => {
  const { endpoint, outcome } = await setUp(t)
  t.equal(await outcome('first'), 'found')
  endpoint.keys = [jwk('second'), ...endpoint.keys]
  t.same(await Promise.all([outcome('second'), outcome('first')]), ['found', 'found'])
  t.equal(endpoint.fetches, 2)
})

t.test(
  'keys are fetched again after 10 minutes at the latest, and in the background after 5 minutes',
  async (t) => {
    const { endpoint, time, outcome } = await setUp(t)
    t.equal(await outcome('first'), 'found')
    endpoint.keys = [jwk('second')]
    time.now += 301_000
    t.equal(await outcome('first'), 'found', 'the known one, at once')
    t.equal(await outcome('second'), 'found', 'joins the background fetch')
    t.equal(endpoint.fetches, 2)
    t.equal(await outcome('first'), 'key', 'removed')

    const before = endpoint.fetches
    endpoint.keys = [jwk('third')]
    time.now += 601_000
    t.equal(await outcome('second'), 'key', 'removed')
    t.equal(endpoint.fetches, before + 1)
  },
)

t.test('an invalid JWKS response is 503 before the first key, and ignored after it (A13)', async (t) => {
  const answers: Record<string, RequestListener> = {
    500: (_, response) => response.writeHead(500).end(),
    'wrong content type': (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('{"keys":[]}'),
    'not JSON': (_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'),
    null: (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('null'),
    'no list of keys': (_, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"keys":{}}'),
    '50 MB': (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 32)));
      }
      response.on('drain', more)
      more()
    },
  }
  const { endpoint, time, warnings, outcome } = await setUp(t)
  for (const [label, answer] of Object.entries(answers)) {
    endpoint.answer = answer
    time.now += 1_000
    t.equal(await outcome('first'), 'service_unavailable', `cold: ${label}`)
  }
  t.equal(
    warnings.filter((message) => /could not be fetched/.test(message)).length,
    1,
    'one warning for the outage',
  )

  endpoint.answer = undefined
  time.now += 1_000
  t.equal(await outcome('first'), 'found', 'recovers')
  for (const [label, answer] of Object.entries(answers)) {
    endpoint.answer = answer
    time.now += 600_001
    t.equal(await outcome('first'), 'found', `warm: ${label}`)
    t.equal(await outcome('unknown'), 'key', `warm, unknown kid: ${label}`)
  }
})

t.test('a redirect is not followed (A13)', async (t) => {
  const { endpoint, outcome } = await setUp(t)
  const other = await listening(t, () => t.fail('asked'))
  endpoint.answer = (_, response) => response.writeHead(302, { location: `${other.origin}/jwks` }).end()
  t.equal(await outcome('first'), 'service_unavailable')
})

t.test(
  'a fetch that hangs is aborted after 2 seconds, and known keys do not wait for it (A13)',
  async (t) => {
    const { endpoint, time, timeouts, outcome } = await setUp(t)
    const hang: RequestListener = () => {}
    endpoint.answer = hang
    timeouts.shortened = 100
    t.equal(await outcome('first'), 'service_unavailable')
    t.same(timeouts.asked, [2_000])
    timeouts.shortened = undefined
    endpoint.answer = undefined
    time.now += 1_000
    t.equal(await outcome('first'), 'found')

    endpoint.answer = hang
    timeouts.shortened = 100
    time.now += 601_000
    t.equal(await outcome('first'), 'found', 'stale keys: one fetch, aborted')
    const again = performance.now()
    for (let at = 0; at < 100; at++) t.equal(await outcome('first'), 'found')
    t.ok(performance.now() - again < 1_000, 'then no request waits')
  },
)

/** Valid responses without a usable key. */
const withdrawals: Record<string, object[]> = {
  'no key': [],
  'no public key': [{ kty: 'oct', k: 'AAAA', kid: 'first' }],
  'no key for signatures': [{ ...jwk('first'), use: 'enc' }],
  'no key of a trusted algorithm': [
    {
      ...keyPair('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
      kid: 'first',
    },
  ],
}

t.test('keys that an issuer has withdrawn are refused from the next fetch on (A13)', async (t) => {
  for (const [label, keys] of Object.entries(withdrawals)) {
    const { endpoint, time, warnings, outcome } = await setUp(t)
    const { keys: before } = endpoint
    endpoint.keys = keys
    t.equal(await outcome('first'), 'service_unavailable', `${label}: before there was ever one`)
    endpoint.keys = before
    time.now += 1_000
    t.equal(await outcome('first'), 'found', label)

    endpoint.keys = keys
    time.now += 600_001
    t.equal(await outcome('first'), 'key', label)
    t.equal(warnings.filter((message) => /withdrawn all its keys/.test(message)).length, 1, label)
    for (let minute = 0; minute < 12; minute++) {
      time.now += 60_000
      t.equal(await outcome('first'), 'key', label)
    }
    endpoint.keys = before
    time.now += 1_000
    t.equal(await outcome('first'), 'found', `${label}: and back again`)
  }
})

t.test(
  'keys older than an hour and ten minutes are not used, not even while the endpoint is down (A13)',
  async (t) => {
    const { endpoint, time, outcome, cache } = await setUp(t)
    const used = token('first')
    await cache.verifyingKey(used)
    t.ok(cache.stillVerifies(used))
    endpoint.answer = (_, response) => response.writeHead(500).end()
    const began = time.now
    let minutes = 0
    for (; minutes < 69; minutes++) {
      time.now = began + (minutes + 1) * 60_000
      t.equal(await outcome('first'), 'found', `${minutes + 1} minutes`)
      t.equal(await outcome('unknown'), 'key')
    }
    t.ok(cache.stillVerifies(used))
    time.now += 60_001
    t.notOk(cache.stillVerifies(used), 'nor for a token that verified before')
    for (const kid of ['first', 'unknown']) t.equal(await outcome(kid), 'service_unavailable', kid)
    endpoint.answer = undefined
    time.now += 1_000
    t.equal(await outcome('first'), 'found', 'recovers')
    t.equal(await outcome('unknown'), 'key')
  },
)

t.test('the algorithm of a token selects among the keys of its kid (A08)', async (t) => {
  const { endpoint, pemOf } = await setUp(t, ['EdDSA', 'ES256'])
  const ec = keyPair('ec', { namedCurve: 'P-256' }).publicKey
  endpoint.keys = [jwk('first'), { ...ec.export({ format: 'jwk' }), kid: 'first' }, ...endpoint.keys]
  t.equal(await pemOf('first', 'ES256'), ec.export({ type: 'spki', format: 'pem' }))
  t.equal(await pemOf('first', 'EdDSA'), 'key', 'two keys of this algorithm')
})

t.test(
  'two keys with one kid and algorithm are both ignored, and each reason is logged once (A08)',
  async (t) => {
    const { endpoint, time, warnings, outcome } = await setUp(t)
    endpoint.keys = [jwk('twin'), jwk('twin'), jwk('single'), { kty: 'oct', k: 'AAAA', kid: 'mac' }]
    t.equal(await outcome('single'), 'found')
    time.now += 2_000
    for (const kid of ['twin', 'mac']) t.equal(await outcome(kid), 'key', 'refused')
    t.same(warnings.sort(), [
      'a key of a trusted issuer is not used: it is not a public key',
      'a key of a trusted issuer is not used: it shares its kid and algorithm with another one',
    ])
  },
)
