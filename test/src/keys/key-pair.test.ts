import { createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto'
import t from 'tap'
import { makeKeyPair, publicJwkOf, publicPemOf } from '../../../src/keys/key-pair.ts'

t.test('the kid is the JWK thumbprint (RFC 7638)', async (t) => {
  const ed25519 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
  const ofEd25519 = publicJwkOf(createPublicKey({ key: ed25519, format: 'jwk' }), 'EdDSA')
  t.equal(ofEd25519.kid, 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k', 'RFC 8037 A.3')

  const n =
    '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
  const rsa = { kty: 'RSA', n, e: 'AQAB' }
  const ofRsa = publicJwkOf(createPublicKey({ key: rsa, format: 'jwk' }), 'RS256')
  t.equal(ofRsa.kid, 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', 'RFC 7638 section 3.1')
})

t.test('each algorithm has its key and publishes no private member', async (t) => {
  const members = {
    EdDSA: ['crv', 'kty', 'x'],
    ES256: ['crv', 'kty', 'x', 'y'],
    RS256: ['e', 'kty', 'n'],
  } as const
  for (const algorithm of ['EdDSA', 'ES256', 'RS256'] as const) {
    const { publicJwk, privateKey } = await makeKeyPair(algorithm)
    t.same(Object.keys(publicJwk).sort(), ['alg', 'use', 'kid', ...members[algorithm]].sort())
    const key = createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' })
    t.equal(createPublicKey(key).export({ type: 'spki', format: 'pem' }), publicPemOf(publicJwk))
    t.match(key.asymmetricKeyDetails ?? {}, algorithm === 'RS256' ? { modulusLength: 3072 } : {})
    const jwk: JsonWebKey = { ...publicJwk }
    t.equal(jwk.crv, { EdDSA: 'Ed25519', ES256: 'P-256', RS256: undefined }[algorithm])
  }
})
