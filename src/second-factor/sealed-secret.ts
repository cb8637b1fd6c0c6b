import { createHash } from 'node:crypto'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'
import { seal, unseal } from '../keys/sealing.ts'

export type FactorKeys = DerivedKeys

export function factorKeys(secret: string, previous: string | undefined): FactorKeys {
  return derivedKeys(secret, previous, 'second factor encryption')
}

/** A factor's secret as the database has it. */
export interface SealedSecret {
  readonly secret: string
  /** Names the key, so that a clean-up finds what an old one sealed. */
  readonly sealed_by: string
}

/** The name of a key, which reveals nothing of it. */
export function keyName(key: Buffer): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 11)
}

/** Encrypts a factor's secret; its user is the context, so that no row's secret works in another. */
export function sealSecret({ current }: FactorKeys, secret: Uint8Array, userId: string): SealedSecret {
  return { secret: seal(secret, userId, current), sealed_by: keyName(current) }
}

/** @returns undefined when it was sealed under neither secret, or tampered with */
export function unsealSecret(
  { current, previous }: FactorKeys,
  { secret }: Pick<SealedSecret, 'secret'>,
  userId: string,
): Buffer | undefined {
  return unseal(secret, userId, current) ?? (previous && unseal(secret, userId, previous))
}
