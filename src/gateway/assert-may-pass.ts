import { assertOwned, type Principal } from '../tokens/owner.ts'
import { assertEnrolled, assertSufficient, type SecondFactorRule } from '../tokens/requirements.ts'
import type { Parameters } from './parameters.ts'

interface Asked {
  /** REQUIRE_SECOND_FACTOR. */
  readonly secondFactor: SecondFactorRule
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * Everything that is asked of a verified user.
 * @param owner the owner that the original path names, if that was asked for
 * @throws Problem second_factor_enrolment_required, insufficient_scope, insufficient_user_authentication, not_owner
 */
export function assertMayPass(
  user: Principal,
  parameters: Parameters,
  owner: string | undefined,
  { secondFactor, now }: Asked,
): void {
  assertEnrolled(user, secondFactor)
  assertSufficient(user, parameters, now)
  if (parameters.userId !== undefined) assertOwned(user, parameters.userId)
  if (owner !== undefined) assertOwned(user, owner)
}
