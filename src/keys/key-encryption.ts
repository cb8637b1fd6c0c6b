import { derivedKeys } from './derived-keys.ts'
import { seal, unseal } from './sealing.ts'
import { SigningKeyError } from './signing-keys.ts'

/** What private keys are encrypted under, and what they were encrypted under before. */
export interface SealingSecrets {
  readonly secret: string
  readonly previousSecret: string | undefined
}

const purpose = 'signing key encryption'

/** Encrypts a private key for the database; its kid is the context. */
export function sealPrivateKey(privateKey: Buffer, kid: string, secret: string): string {
  return seal(privateKey, kid, derivedKeys(secret, undefined, purpose).current)
}

/** The private key, or undefined when neither secret decrypts it or it was tampered with. */
export function unsealPrivateKey(
  sealed: string,
  kid: string,
  { secret, previousSecret }: SealingSecrets,
): { readonly privateKey: Buffer; readonly underPrevious: boolean } | undefined {
  const keys = derivedKeys(secret, previousSecret, purpose)
  const current = unseal(sealed, kid, keys.current)
  if (current) return { privateKey: current, underPrevious: false }
  const previous = keys.previous && unseal(sealed, kid, keys.previous)
  return previous && { privateKey: previous, underPrevious: true }
}

/** For a key that neither secret decrypts. */
export function sealedUnderAnother(kid: string): SigningKeyError {
  return new SigningKeyError(
    `signing key ${kid} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one`,
  )
}
