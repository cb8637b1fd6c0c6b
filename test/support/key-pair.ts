import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

interface Options {
  readonly namedCurve?: string
  readonly modulusLength?: number
}

type Generate = (type: string, options: object) => { readonly publicKey: Buffer; readonly privateKey: Buffer }

/**
 * A new key pair, by way of DER. Node's own objects share a lock with the job that made them: while one is exported as
 * JWK, the collection of that job waits for the export for ever (Node 20).
 */
export function keyPair(
  type: 'ed25519' | 'x25519' | 'ec' | 'rsa',
  options: Options = {},
): { publicKey: KeyObject; privateKey: KeyObject } {
  const { publicKey, privateKey } = (generateKeyPairSync as unknown as Generate)(type, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  return {
    publicKey: createPublicKey({ key: publicKey, type: 'spki', format: 'der' }),
    privateKey: createPrivateKey({ key: privateKey, type: 'pkcs8', format: 'der' }),
  }
}
