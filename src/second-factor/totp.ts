import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

// Not a library: HOTP is three lines of node:crypto (RFC 4226 section 5.3). What takes care is to accept each code once,
// for which the matched step must be known: libraries return whether a code is valid, or keep a window of their own.

const secretBytes = 20
const stepSeconds = 30
const digits = 6

/** 160 bits, as long as the hash (RFC 4226 section 4, requirement R6). */
export const newTotpSecret = (): Buffer => randomBytes(secretBytes)

/** The time step of RFC 6238 section 4.2. @param now seconds since the epoch */
export const stepAt = (now: number): number => Math.floor(now / stepSeconds)

/** The code of a time step: HOTP with SHA-1 (RFC 4226 section 5.3), which authenticator apps default to. */
export function totpCode(secret: Uint8Array, step: number, length = digits): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  const truncated = mac.readUInt32BE((mac.at(-1) ?? 0) & 0xf) & 0x7fff_ffff
  return String(truncated % 10 ** length).padStart(length, '0')
}

/**
 * The step that a code is of, among the present one, the one before and the one after (RFC 6238 section 5.2): the
 * earliest after `lastStep`, since an accepted code and all before it are used up.
 * @param code six digits
 * @param now seconds since the epoch
 */
export function matchingStep(
  secret: Uint8Array,
  code: string,
  { now, lastStep }: { readonly now: number; readonly lastStep: number },
): number | undefined {
  const present = stepAt(now)
  // Every step is computed and compared in constant time: timing must not reveal which of them nearly matched.
  const matched = [present - 1, present, present + 1].filter((step) =>
    timingSafeEqual(Buffer.from(totpCode(secret, step)), Buffer.from(code)),
  )
  return matched.find((step) => step > lastStep)
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 section 6, without padding, as authenticator apps take a secret. */
export function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? [])
    .map((group) => alphabet.charAt(Number.parseInt(group.padEnd(5, '0'), 2)))
    .join('')
}

/** The Key URI of authenticator apps, which a QR code shows. A colon would separate issuer and account. */
export function otpauthUri(
  secret: Uint8Array,
  { issuer, account }: { issuer: string; account: string },
): string {
  const [from, of] = [issuer, account].map((text) => encodeURIComponent(text.replaceAll(':', ' '))) as [
    string,
    string,
  ]
  return `otpauth://totp/${from}:${of}?secret=${base32(secret)}&issuer=${from}&algorithm=SHA1&digits=${digits}&period=${stepSeconds}`
}
