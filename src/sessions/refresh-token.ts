import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { TypeID } from 'typeid-js'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'

/** What a refresh token contains: its session, and how often the session has been rotated. */
export interface RefreshClaim {
  readonly sessionId: string
  readonly generation: number
}

interface PresentedToken extends RefreshClaim {
  readonly mac: Buffer
}

const idBytes = 16
const generationBytes = 4
const macBytes = 32
const claimBytes = idBytes + generationBytes

export const newSalt = (): Buffer => randomBytes(32)

export type RefreshKeys = DerivedKeys

export function refreshKeys(secret: string, previous: string | undefined): RefreshKeys {
  return derivedKeys(secret, previous, 'refresh token')
}

/**
 * The refresh token of a session's generation: its claim and a 256-bit MAC over the claim and the session's salt, in
 * base64url. It is deterministic, so a retried refresh gets the same token; and a database dump without SECRET_KEY
 * contains no usable token.
 */
export function refreshToken({ current }: RefreshKeys, claim: RefreshClaim, salt: Uint8Array): string {
  const claimed = encodeClaim(claim)
  return Buffer.concat([claimed, mac(current, claimed, salt)]).toString('base64url')
}

/** Parses a token without verifying it. @returns undefined when it is malformed */
export function parseRefreshToken(token: string): PresentedToken | undefined {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.length !== claimBytes + macBytes || bytes.toString('base64url') !== token) return undefined
  return {
    sessionId: TypeID.fromUUIDBytes('session', bytes.subarray(0, idBytes)).toString(),
    generation: bytes.readUInt32BE(idBytes),
    mac: bytes.subarray(claimBytes),
  }
}

export function verifiesRefreshToken(
  keys: RefreshKeys,
  presented: PresentedToken,
  salt: Uint8Array,
): boolean {
  const claimed = encodeClaim(presented)
  return [keys.current, keys.previous].some(
    (key) => key !== undefined && timingSafeEqual(mac(key, claimed, salt), presented.mac),
  )
}

function encodeClaim({ sessionId, generation }: RefreshClaim): Buffer {
  const claim = Buffer.alloc(claimBytes)
  claim.set(TypeID.fromString(sessionId).toUUIDBytes())
  claim.writeUInt32BE(generation, idBytes)
  return claim
}

function mac(key: Buffer, claim: Buffer, salt: Uint8Array): Buffer {
  return createHmac('sha256', key).update(claim).update(salt).digest()
}
