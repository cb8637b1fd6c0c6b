import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'
import { isUserId } from '../tokens/user-id.ts'

export type MfaTokenKeys = DerivedKeys

export function mfaTokenKeys(secret: string, previous: string | undefined): MfaTokenKeys {
  return derivedKeys(secret, previous, 'mfa token')
}

/** Seconds between the right password and the code. */
export const mfaTokenSeconds = 300

/** What an mfa token says: that the right password of an account was given a moment ago. */
export interface MfaClaim {
  readonly userId: string
  /** A session of the account whose refresh token the device has presented. */
  readonly device: string | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/** What ends the token when it changes: it is in the MAC, and not in the token. */
export interface MfaBinding {
  readonly passwordHash: string
  /** The id of the factor. */
  readonly factor: string
}

export interface PresentedMfaToken extends MfaClaim {
  /** Names the token once it has been used. */
  readonly hash: Buffer
  verifies(keys: MfaTokenKeys, binding: MfaBinding): boolean
}

const macBytes = 32
const nonceBytes = 16

/**
 * A token of an account's right password, with a 256-bit MAC. Stateless: a challenge costs no row, any number of them
 * can be open at once, and nobody can push out another's. Only a used one is stored.
 */
export function newMfaToken({ current }: MfaTokenKeys, claim: MfaClaim, binding: MfaBinding): string {
  const nonce = randomBytes(nonceBytes).toString('base64url')
  const claimed = Buffer.from(JSON.stringify([claim.userId, claim.device ?? '', claim.expiresAt, nonce]))
  return Buffer.concat([mac(current, claimed, binding), claimed]).toString('base64url')
}

/** Parses a token without verifying it. @returns undefined when it is malformed */
export function parseMfaToken(token: string): PresentedMfaToken | undefined {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.toString('base64url') !== token) return undefined
  const [presented, claimed] = [bytes.subarray(0, macBytes), bytes.subarray(macBytes)]
  const [userId, device, expiresAt] = parseList(claimed)
  if (typeof userId !== 'string' || typeof device !== 'string' || typeof expiresAt !== 'number')
    return undefined
  // Looked up before the MAC can be verified.
  if (!isUserId(userId)) return undefined
  return {
    userId,
    device: device || undefined,
    expiresAt,
    hash: createHash('sha256').update(bytes).digest(),
    verifies: ({ current, previous }, binding) =>
      [current, previous].some(
        (key) => key !== undefined && timingSafeEqual(mac(key, claimed, binding), presented),
      ),
  }
}

function parseList(bytes: Buffer): unknown[] {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

function mac(key: Buffer, claimed: Buffer, { passwordHash, factor }: MfaBinding): Buffer {
  return createHmac('sha256', key).update(claimed).update(`\0${passwordHash}\0${factor}`).digest()
}
