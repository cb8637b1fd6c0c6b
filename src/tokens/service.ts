import { Problem } from '../problem.ts'
import { TokenRefused } from './refusal.ts'

/** A service client: a program that calls on its own behalf. Never a user, nor the reverse: it is not a `Principal`. */
export interface Service {
  readonly id: string
  readonly scopes: readonly string[]
}

export const clientIdPattern = /^[a-z][a-z0-9-]{0,62}$/

export const scopePattern = /^[a-z][a-z0-9:._-]{0,63}$/

const prefix = 'client_'

type Claims = Readonly<Record<string, unknown>>

/** `sub` and `client_id` of a client's access token (RFC 9068 section 2.2). */
export function clientSubject(id: string): string {
  return `${prefix}${id}`
}

/** Whether a token is a client's, by a claim that no token of a user has here. */
export function isClientToken(claims: Claims): boolean {
  return 'client_id' in claims
}

/** @throws TokenRefused subject, session */
export function checkClient({ sub, client_id: clientId, scope, sid }: Claims): void {
  if (typeof sub !== 'string' || sub !== clientId || typeof scope !== 'string')
    throw new TokenRefused('subject')
  if (!sub.startsWith(prefix) || !clientIdPattern.test(sub.slice(prefix.length)))
    throw new TokenRefused('subject')
  if (sid !== undefined) throw new TokenRefused('session')
}

/** The client of a token that passed {@link checkClient}. */
export function serviceOf({ sub, scope }: Claims): Service {
  const scopes = (scope as string).split(' ').filter((name) => name !== '')
  return { id: (sub as string).slice(prefix.length), scopes }
}

/** @throws Problem insufficient_scope */
export function assertServiceScope({ scopes }: Service, scope: string): void {
  if (scopes.includes(scope)) return
  const challenge = `Bearer error="insufficient_scope", scope="${scope}"`
  throw new Problem('insufficient_scope', { headers: { 'www-authenticate': challenge } })
}
