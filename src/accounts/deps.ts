import type { EventBuffer } from '../audit.ts'
import type { Blocklist } from '../passwords/blocklist.ts'
import type { Passwords } from '../passwords/pool.ts'
import type { SecondFactorPolicy } from '../second-factor/policy.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import type { AccountLimits } from './guess-limits.ts'

/** What accounts need of their surroundings; a Fastify instance with the plugins on it is one. */
export interface AccountDeps extends SessionDeps {
  readonly passwords: Passwords
  /** Whether a login requires a verified address. */
  readonly verificationRequired: boolean
  readonly accountLimits: AccountLimits
  readonly blocklist: Blocklist
  readonly secondFactor: SecondFactorPolicy
  readonly securityEvents: Pick<EventBuffer, 'note'>
}
