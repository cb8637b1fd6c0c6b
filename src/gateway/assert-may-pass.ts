import { assertOwned, type Principal } from '../tokens/owner.ts'
import { assertSufficient } from '../tokens/requirements.ts'
import type { Parameters } from './parameters.ts'

/**
 * Everything that is asked of a verified user.
 * @param owner the owner that the original path names, if that was asked for
 * @param now seconds since the epoch
 * @throws Problem insufficient_scope, insufficient_user_authentication, not_owner
 */
export function assertMayPass(
  user: Principal,
  parameters: Parameters,
  owner: string | undefined,
  now: number,
): void {
  assertSufficient(user, parameters, now)
  if (parameters.userId !== undefined) assertOwned(user, parameters.userId)
  if (owner !== undefined) assertOwned(user, owner)
}
