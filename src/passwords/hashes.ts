import { scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import argon2 from 'argon2'
import { compare as compareBcrypt } from 'bcrypt'

/** Cost parameters of argon2id. */
export interface HashCost {
  readonly memoryKiB: number
  readonly passes: number
}

/** OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. */
export const recommendedCost: HashCost = { memoryKiB: 19_456, passes: 2 }

/** A supported hash format. `takes` is strict, so that no accepted hash is impossible to match. */
interface HashFormat {
  readonly takes: (hash: string) => boolean
  /** @param password not normalized */
  readonly verify: (hash: string, password: string) => Promise<boolean>
}

const argon2Form =
  /^\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{6,172}$/

/** What this service writes; with other parameters, its older hashes and imported ones. */
const argon2Hash: HashFormat = {
  takes(hash) {
    const [memory = 0, passes = 0, lanes = 0] = (argon2Form.exec(hash) ?? []).slice(1).map(Number)
    // Bounds the cost of a login: 256 MiB of memory, and 1 GiB of memory times passes.
    return passes > 0 && lanes > 0 && memory >= 8 * lanes && memory <= 262_144 && memory * passes <= 1_048_576
  },
  verify: async (hash, password) => {
    const normalized = normalizePassword(password)
    if (await argon2.verify(hash, normalized)) return true
    // Imported: the other system may have hashed the text without NFC.
    return normalized !== password && isOutdated(hash) && argon2.verify(hash, password)
  },
}

/** Cost 14 at most, for the time of a login. The classes are the possible last characters of 128 and 184 bits. */
const bcryptForm = /^\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/

/**
 * bcrypt as passlib, PHP and others write it: of the text without normalization, its first 72 bytes. `$2a$`, `$2b$` and
 * `$2y$` are one algorithm there (`$2x$` is another, and refused), so all are verified as `$2b$`: the library refuses
 * `$2y$`, and for `$2a$` it takes the length modulo 256, the old OpenBSD bug.
 */
const bcryptHash: HashFormat = {
  takes: (hash) => bcryptForm.test(hash),
  async verify(hash, password) {
    const matched = await compareBcrypt(password, `$2b$${hash.slice(4)}`)
    // bcrypt repeats the password and its terminating NUL, so `x`, NUL, `x` would match `x`.
    return matched && !password.includes('\0')
  },
}

const deriveScrypt = promisify<string, string, number, object, Buffer>(scrypt)

/** Better Auth's format: scrypt (RFC 7914) with 128 * N * r = 32 MiB; the salt is its hexadecimal text. */
const betterAuthHash: HashFormat = {
  takes: (hash) => /^[0-9a-f]{32}:[0-9a-f]{128}$/.test(hash),
  async verify(hash, password) {
    const [salt = '', key = ''] = hash.split(':')
    const options = { N: 16_384, r: 16, p: 1, maxmem: 64 * 1024 * 1024 }
    const derived = await deriveScrypt(password.normalize('NFKC'), salt, 64, options)
    return timingSafeEqual(derived, Buffer.from(key, 'hex'))
  },
}

const formats: readonly HashFormat[] = [argon2Hash, bcryptHash, betterAuthHash]

/** Whether a hash can be verified here, at a bounded cost. */
export function isKnownHash(hash: string): boolean {
  return formats.some((format) => format.takes(hash))
}

/** Whether a hash should be upgraded at the next login: its algorithm or cost is not the current one. */
export function isOutdated(hash: string, { memoryKiB, passes } = recommendedCost): boolean {
  return !hash.startsWith(`$argon2id$v=19$m=${memoryKiB},t=${passes},p=1$`)
}

/** @throws Error for a malformed hash */
export async function verifyHash(hash: string, password: string): Promise<boolean> {
  const format = formats.find((candidate) => candidate.takes(hash))
  if (!format) throw new Error('malformed or unsupported password hash')
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

/** NFC, so that keyboards with different Unicode output match (NIST SP 800-63B section 3.1.1.2). */
export function normalizePassword(password: string): string {
  return password.normalize('NFC')
}
