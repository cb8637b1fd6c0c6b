import { scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import argon2 from 'argon2'
import { compare as compareBcrypt } from 'bcrypt'

/** What one argon2id hash costs. */
export interface HashCost {
  readonly memoryKiB: number
  readonly passes: number
}

/** OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. */
export const recommendedCost: HashCost = { memoryKiB: 19_456, passes: 2 }

/** A way to keep a password that is verified here. What it takes is strict: no other hash would ever match. */
interface HashFormat {
  readonly takes: (hash: string) => boolean
  /** @param password as it was typed */
  readonly verify: (hash: string, password: string) => Promise<boolean>
}

const argon2Form =
  /^\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{6,172}$/

/** What this service writes; and with other parameters, what it wrote before or another one did. */
const argon2Hash: HashFormat = {
  takes(hash) {
    const [memory = 0, passes = 0, lanes = 0] = (argon2Form.exec(hash) ?? []).slice(1).map(Number)
    // The work that a login can cost: 256 MiB at a time, and as much as 1 GiB filled once.
    return passes > 0 && lanes > 0 && memory >= 8 * lanes && memory <= 262_144 && memory * passes <= 1_048_576
  },
  verify: async (hash, password) => {
    const normalized = normalizePassword(password)
    if (await argon2.verify(hash, normalized)) return true
    // Another system has hashed what was typed.
    return normalized !== password && isOutdated(hash) && argon2.verify(hash, password)
  },
}

/** Above a cost of 14, a login takes as long as many others. The classes are what 128 bits of salt and 184 of hash end in. */
const bcryptForm = /^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/

/**
 * bcrypt as passlib, PHP and others write it. It verifies as where it was made: the text as it was typed, of which
 * bcrypt sees 72 bytes. `$2a$`, `$2b$` and `$2y$` are one algorithm there (`$2x$` is another, and not taken), so all go
 * as `$2b$`: the library knows no `$2y$`, and for `$2a$` it takes the length modulo 256, as OpenBSD once did.
 */
const bcryptHash: HashFormat = {
  takes: (hash) => bcryptForm.test(hash),
  async verify(hash, password) {
    const matched = await compareBcrypt(password, `$2b$${hash.slice(4)}`)
    // bcrypt repeats the password with a NUL after it, so `x`, NUL, `x` passes for `x`. Its makers refuse a NUL.
    return matched && !password.includes('\0')
  },
}

const deriveScrypt = promisify<string, string, number, object, Buffer>(scrypt)

/** Better Auth's own: scrypt (RFC 7914) with 128 * N * r = 32 MiB, and the salt as the text that it is written in. */
const betterAuthHash: HashFormat = {
  takes: (hash) => /^[0-9a-f]{32}:[0-9a-f]{128}$/.test(hash),
  async verify(hash, password) {
    const [salt = '', key = ''] = hash.split(':')
    const options = { N: 16_384, r: 16, p: 1, maxmem: 64 * 1024 * 1024 }
    const derived = await deriveScrypt(password.normalize('NFKC'), salt, 64, options)
    return timingSafeEqual(derived, Buffer.from(key, 'hex'))
  },
}

/** All that a stored hash can be. */
const formats: readonly HashFormat[] = [argon2Hash, bcryptHash, betterAuthHash]

/** Whether a hash is of a form that can be verified here, at a cost that is bounded. */
export function isKnownHash(hash: string): boolean {
  return formats.some((format) => format.takes(hash))
}

/** Whether a hash should be replaced when its password is known: it was not made with this algorithm and cost. */
export function isOutdated(hash: string, { memoryKiB, passes } = recommendedCost): boolean {
  return !hash.startsWith(`$argon2id$v=19$m=${memoryKiB},t=${passes},p=1$`)
}

/**
 * Whether a password is the one of a hash.
 * @throws Error for a hash that is of no known form
 */
export async function verifyHash(hash: string, password: string): Promise<boolean> {
  const format = formats.find((candidate) => candidate.takes(hash))
  if (!format) throw new Error('a hash of no known form')
  return format.verify(hash, password)
}

/** argon2id (RFC 9106) of the password's NFC form. */
export async function hashPassword(
  password: string,
  { memoryKiB, passes } = recommendedCost,
): Promise<string> {
  const parameters = { type: argon2.argon2id, memoryCost: memoryKiB, timeCost: passes, parallelism: 1 }
  return argon2.hash(normalizePassword(password), parameters)
}

/** NFC, so that the same characters typed on another keyboard match (NIST SP 800-63B section 3.1.1.2). */
export function normalizePassword(password: string): string {
  return password.normalize('NFC')
}
