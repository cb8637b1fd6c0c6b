import { createHmac, randomInt } from 'node:crypto'

/** How many recovery codes an account gets. */
export const recoveryCodeCount = 10

/** Crockford's base 32, without letters that are read as digits. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const groups = 5
const groupLength = 5

/** Ten codes of 125 bits, in five groups of five: more than ASVS 6.5.2 asks for where no password hash protects them. */
export function newRecoveryCodes(): string[] {
  const symbol = () => alphabet.charAt(randomInt(alphabet.length))
  const group = () => Array.from({ length: groupLength }, symbol).join('')
  return Array.from({ length: recoveryCodeCount }, () => Array.from({ length: groups }, group).join('-'))
}

/** What proves the second factor. */
export const codeKinds = ['totp', 'recovery_code'] as const

/** A code as it is compared; the kind follows from its form. */
export interface ParsedCode {
  readonly kind: (typeof codeKinds)[number]
  readonly code: string
}

const recoveryForm = new RegExp(`^[${alphabet}]{${groups * groupLength}}$`)

/** Reads a code as people type it: with spaces or hyphens, in any case of letters. @returns undefined for another form */
export function parseCode(text: string): ParsedCode | undefined {
  const code = text.replace(/[\s-]/g, '').toLowerCase()
  if (/^\d{6}$/.test(code)) return { kind: 'totp', code }
  const read = code.replaceAll('o', '0').replace(/[il]/g, '1')
  return recoveryForm.test(read) ? { kind: 'recovery_code', code: read } : undefined
}

/**
 * What the database keeps of a recovery code. The key is the factor's own secret, which is encrypted at rest: a dump
 * opens nothing, and a change of SECRET_KEY, which encrypts that secret anew, leaves the codes valid.
 */
export function recoveryCodeMac(secret: Uint8Array, code: string): Buffer {
  const parsed = parseCode(code)
  return createHmac('sha256', secret)
    .update(`recovery code\0${parsed?.code ?? code}`)
    .digest()
}
