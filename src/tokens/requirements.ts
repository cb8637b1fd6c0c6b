import { Problem } from '../problem.ts'
import type { Principal } from './owner.ts'
import { scopePattern } from './service.ts'
import { looksMinted } from './user-id.ts'

/** Authentication context classes of a Latchkey, weakest first: a password, a second factor besides (NIST SP 800-63B). */
export const acrValues = ['aal1', 'aal2'] as const

export type Acr = (typeof acrValues)[number]

/** What a route asks of a token beyond that it is valid. */
export interface Requirements {
  /** Scope that an API key must have; a token of a session has every scope. */
  readonly scope?: string | undefined
  /** Seconds since the user last authenticated, at most (RFC 9470 section 4). */
  readonly maxAge?: number | undefined
  readonly acr?: Acr | undefined
}

/** Why `requirements` cannot be declared; undefined when they can. */
export function requirementsFault({ scope, maxAge, acr }: Requirements): string | undefined {
  if (scope !== undefined && !scopePattern.test(scope)) return 'config.scope must be a scope'
  if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 0))
    return 'config.maxAge must be a whole number of seconds'
  if (acr !== undefined && !acrValues.includes(acr)) return `config.acr must be ${acrValues.join(' or ')}`
  return undefined
}

/**
 * @param now seconds since the epoch
 * @throws Problem insufficient_scope, insufficient_user_authentication
 */
export function assertSufficient(user: Principal, requirements: Requirements, now: number): void {
  assertScope(user, requirements.scope)
  const { maxAge, acr } = requirements
  const recent = maxAge === undefined || (user.authTime !== undefined && now - user.authTime <= maxAge)
  if (recent && (acr === undefined || reaches(user.acr, acr))) return
  throw new Problem('insufficient_user_authentication', {
    headers: { 'www-authenticate': stepUpChallenge(requirements) },
  })
}

/** Of whom this service asks a second factor: of nobody, of those who have one, or of all its accounts. */
export const secondFactorRules = ['off', 'enrolled', 'all'] as const

export type SecondFactorRule = (typeof secondFactorRules)[number]

/**
 * Whether an account is without the second factor that is required of all. Decided by the token alone: a login without
 * a second factor is `aal1`, and so is a session that has just confirmed one, until it reauthenticates. It concerns the
 * accounts of this service: a trusted issuer's user has none here, unless a holder of the shared secret names one.
 */
export function lacksSecondFactor(user: Principal, rule: SecondFactorRule): boolean {
  if (rule !== 'all' || (user.issuer !== undefined && !looksMinted(user.userId))) return false
  return !user.enrolled && !reaches(user.acr, 'aal2')
}

/** @throws Problem second_factor_enrolment_required, where {@link lacksSecondFactor} */
export function assertEnrolled(user: Principal, rule: SecondFactorRule): void {
  if (lacksSecondFactor(user, rule)) throw new Problem('second_factor_enrolment_required')
}

function assertScope({ scopes }: Principal, scope: string | undefined): void {
  if (scopes === undefined || (scope !== undefined && scopes.includes(scope))) return
  const challenge = `Bearer error="insufficient_scope"${scope === undefined ? '' : `, scope="${scope}"`}`
  throw new Problem('insufficient_scope', { headers: { 'www-authenticate': challenge } })
}

function reaches(acr: string | undefined, wanted: Acr): boolean {
  return acrValues.indexOf(acr as Acr) >= acrValues.indexOf(wanted)
}

/** RFC 9470 section 3. */
function stepUpChallenge({ maxAge, acr }: Requirements): string {
  const parameters = ['error="insufficient_user_authentication"']
  if (maxAge !== undefined) parameters.push(`max_age=${maxAge}`)
  if (acr !== undefined) parameters.push(`acr_values="${acr}"`)
  return `Bearer ${parameters.join(', ')}`
}
