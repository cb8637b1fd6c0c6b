import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { isEnrolled } from '../second-factor/repository.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import type { SignedIn } from '../sessions/opening.ts'
import { reauthenticateOwnedSession } from '../sessions/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { findOwnedUser } from '../users/repository.ts'
import { lockUser } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { withOwnedPassword } from './password-check.ts'
import { codeRequired } from './second-factor-challenge.ts'
import { ownedAttempt, withCode } from './second-factor-code.ts'

/**
 * Authenticates the user of a session again, for step-up (RFC 9470): by the password, and by a code where the account
 * has a second factor.
 * @throws Problem second_factor_required, invalid_code, invalid_credentials, session_not_found, user_not_found,
 * rate_limited, service_unavailable
 */
export async function reauthenticate(
  deps: AccountDeps,
  owner: OwnerId,
  { password, code }: { readonly password: string; readonly code?: string | undefined },
  caller: Caller,
): Promise<SignedIn> {
  return withOwnedPassword(deps, owner, password, caller, async (hash) => {
    const stepUp = (trx: Trx, secondFactor: boolean) =>
      reauthenticateIn(trx, deps, { owner, hash, secondFactor, sid: caller.sid })
    const asked = deps.sessionPolicy.secondFactor !== 'off' && (await isEnrolled(deps.db, owner))
    if (!asked) return commit(deps, (trx) => stepUp(trx, false))
    if (code === undefined) throw codeRequired()
    const attempt = await ownedAttempt(deps, owner, { code, caller })
    return withCode(deps, attempt, async (trx) => {
      const signedIn = await stepUp(trx, true)
      // Thrown, so that the code is still good.
      if (!signedIn) throw new Problem('invalid_credentials', { reason: 'replaced' })
      return signedIn
    })
  })
}

interface StepUp {
  readonly owner: OwnerId
  readonly hash: string
  readonly secondFactor: boolean
  readonly sid: string
}

/** @returns undefined when the hash has been replaced, or a second factor confirmed, meanwhile */
async function reauthenticateIn(
  trx: Trx,
  { sessionPolicy }: AccountDeps,
  { owner, hash, secondFactor, sid }: StepUp,
): Promise<SignedIn | undefined> {
  if ((await lockUser(trx, owner)) !== hash) return undefined
  if (!secondFactor && sessionPolicy.secondFactor !== 'off' && (await isEnrolled(trx, owner)))
    return undefined
  const session = await reauthenticateOwnedSession(trx, owner, sid, { ...sessionPolicy, secondFactor })
  // A token without a session: there is nothing to step up.
  if (!session) throw new Problem('session_not_found')
  const user = await findOwnedUser(trx, owner)
  if (!user) throw new Problem('user_not_found')
  return { user, session }
}
