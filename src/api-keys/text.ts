import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** By it secret scanners find a key, and no JWT begins so. */
const prefix = 'lk_pat_'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 178 bits. */
const secretLength = 30

const checksumLength = 6

const form = new RegExp(`^${prefix}([0-9A-Za-z]{${secretLength}})([0-9A-Za-z]{${checksumLength}})$`)

/** A new key, as its owner gets it. */
export function newKeyText(): string {
  const secret = Array.from({ length: secretLength }, () => alphabet[randomInt(alphabet.length)]).join('')
  return `${prefix}${secret}${checksumOf(secret)}`
}

/** CRC-32 (IEEE 802.3) of ASCII text in base62, padded on the left with `0` to 6 characters. */
export function checksumOf(secret: string): string {
  let digits = ''
  for (let rest = crc32(secret); rest > 0; rest = Math.floor(rest / alphabet.length)) {
    digits = `${alphabet[rest % alphabet.length]}${digits}`
  }
  return digits.padStart(checksumLength, '0')
}

/** Whether a bearer token claims to be an API key, well-formed or not. */
export function claimsToBeKey(token: string): boolean {
  return token.startsWith(prefix)
}

/** Whether a key has the form and the checksum of one: a typo costs no look-up. */
export function isWellFormedKey(text: string): boolean {
  const [, secret, checksum] = form.exec(text) ?? []
  return secret !== undefined && checksumOf(secret) === checksum
}

/** SHA-256 of the whole text in base64url. Without a salt or a slow hash: the text has 178 random bits. */
export function keyHash(text: string): string {
  return hash('sha256', text, 'base64url')
}
