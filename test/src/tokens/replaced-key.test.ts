import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { JwksCache } from '../../../src/tokens/jwks-cache.ts'
import { jwksAt } from '../../../src/tokens/jwks-location.ts'
import { parseToken } from '../../../src/tokens/jws.ts'
import { keyPair } from '../../support/key-pair.ts'
import { signWith } from '../../support/mint.ts'

const kid = 'always-the-same'

t.test('a remembered token is verified again when the key of its kid changes (A32)', async (t) => {
  const [first, second] = [keyPair('ed25519'), keyPair('ed25519')]
  let published: KeyObject = first.publicKey
  const server = createServer((_request, response) => {
    const keys = [{ ...published.export({ format: 'jwk' }), kid }]
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())

  let now = 0
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const cache = new JwksCache({
    location: jwksAt(url),
    algorithms: ['EdDSA'],
    warn: () => {},
    monotonic: () => now,
  })
  const token = parseToken(signWith(first.privateKey, { alg: 'EdDSA', kid }, { sub: 'x' }))
  const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()
  t.equal(await cache.verifyingKey(token), pem(first.publicKey))
  t.ok(cache.stillVerifies(token))

  now += 60_000
  await cache.warmUp()
  t.ok(cache.stillVerifies(token), 'the same key, fetched anew')

  published = second.publicKey
  now += 60_000
  await cache.warmUp()
  t.notOk(cache.stillVerifies(token))
  t.equal(await cache.verifyingKey(token), pem(second.publicKey), 'so its signature is checked again')
})
