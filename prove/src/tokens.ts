import { CannotProve } from './refusal.ts'

/** A token that must be refused. */
export interface Forgery {
  readonly kind: 'forged_signature' | 'forged_alg_none' | 'forged'
  readonly token: string
}

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The claims of a JWT, not verified; undefined of any other token. */
export function claimsOf(token: string): Record<string, unknown> | undefined {
  const segments = token.split('.')
  if (segments.length !== 3) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(segments[1] ?? '', 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/**
 * The user that a token speaks for, by its `sub`.
 * @throws CannotProve
 */
export function subjectOf(token: string, label: string): string {
  const { sub } = claimsOf(token) ?? {}
  if (typeof sub === 'string' && sub !== '') return sub
  if (typeof sub === 'number') return String(sub)
  throw new CannotProve(
    `the token of user ${label} is not a JWT with a "sub": give the ids of both users with --owner A_ID --owner B_ID`,
  )
}

/** Copies of a token without a valid signature. */
export function forgeriesOf(token: string): Forgery[] {
  if (!claimsOf(token)) return [{ kind: 'forged', token: altered(token) }]
  const [header = '', payload = '', signature = ''] = token.split('.')
  return [
    { kind: 'forged_signature', token: `${header}.${payload}.${altered(signature)}` },
    { kind: 'forged_alg_none', token: `${base64url({ alg: 'none', typ: 'JWT' })}.${payload}.` },
  ]
}

/** With another character in the middle: the bits of a signature's last one need not all count. */
function altered(text: string): string {
  const middle = Math.floor(text.length / 2)
  return `${text.slice(0, middle)}${text[middle] === 'A' ? 'B' : 'A'}${text.slice(middle + 1)}`
}

/** Replaces tokens and their parts in a text, so that no report, message or file contains one. */
export function redactor(tokens: readonly string[]): (text: string) => string {
  const parts = tokens.flatMap((token) => [token, ...token.split('.').filter(({ length }) => length >= 16)])
  const secrets = [...new Set(parts.flatMap((part) => [part, encodeURIComponent(part)]))]
    .filter((part) => part !== '')
    .sort((one, other) => other.length - one.length)
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[token]'), text)
}
