import type { AccountDeps } from '../accounts/deps.ts'
import { endAccess } from '../accounts/end-access.ts'
import { assertMailAvailable, assertRoom } from '../accounts/mail-requests.ts'
import { removeFactorIn } from '../accounts/second-factor-removal.ts'
import { endKeysIn } from '../api-keys/ending.ts'
import { Problem } from '../problem.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { forgetBan } from '../sessions/revocation-repository.ts'
import { ownerByOperator } from '../tokens/owner.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { deleteOwnedUser } from '../users/repository.ts'
import { lockAccount, lockUser } from '../users/without-owner.ts'
import { commitAs, type Operator } from './operator.ts'

/**
 * Ends a user's sessions, and revokes the tokens without one. API keys stay.
 * @throws Problem user_not_found
 */
export async function endSessions(deps: SessionDeps, operator: Operator, userId: string): Promise<void> {
  const owner = ownerByOperator(userId)
  await commitAs(deps, operator, async (trx, effects) => {
    if ((await lockUser(trx, owner)) === undefined) throw new Problem('user_not_found')
    await endAccess(trx, deps, { owner, which: 'all', ip: undefined }, effects)
    effects.events.push({ event: 'tokens_revoked', userId })
  })
}

/**
 * Removes a user's second factor, and ends every session: one of them may be on the lost device.
 * @throws Problem user_not_found, second_factor_not_enrolled
 */
export async function removeFactor(deps: SessionDeps, operator: Operator, userId: string): Promise<void> {
  const owner = ownerByOperator(userId)
  await commitAs(deps, operator, async (trx, effects) => {
    if ((await lockUser(trx, owner)) === undefined) throw new Problem('user_not_found')
    if (!(await removeFactorIn(trx, { owner, ip: undefined }, effects)))
      throw new Problem('second_factor_not_enrolled')
    await endAccess(trx, deps, { owner, which: 'all', ip: undefined }, effects)
  })
}

/**
 * Deletes a user with everything that belongs to it.
 * @throws Problem user_not_found
 */
export async function deleteUser(deps: SessionDeps, operator: Operator, userId: string): Promise<void> {
  const owner = ownerByOperator(userId)
  await commitAs(deps, operator, async (trx, effects) => {
    const account = await lockAccount(trx, { id: userId })
    if (!account && (await lockUser(trx, owner)) === undefined) throw new Problem('user_not_found')
    await endAccess(trx, deps, { owner, which: 'all', ip: undefined }, effects)
    await endKeysIn(trx, { userId: owner, ip: undefined }, effects)
    await deleteOwnedUser(trx, owner)
    // A foreign user would be back with the next token if the ban did not stay.
    if (account) await forgetBan(trx, owner)
    effects.events.push({ event: 'account_deleted', userId })
  })
}

/**
 * Mails the link that sets a new password, to the account's address.
 * @throws Problem user_not_found also for a trusted issuer's user, whose password is not kept here; mail_unavailable
 */
export async function requestReset(deps: AccountDeps, operator: Operator, userId: string): Promise<void> {
  assertMailAvailable(deps)
  await commitAs(deps, operator, async (trx, effects) => {
    const account = await lockAccount(trx, { id: userId })
    if (!account?.email) throw new Problem('user_not_found')
    assertRoom(await effects.request({ kind: 'forgot', recipient: account.email as CanonicalEmail }))
    effects.events.push({ event: 'password_reset_requested', userId })
  })
}
