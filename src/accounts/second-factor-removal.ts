import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { deleteOwnedFactor } from '../second-factor/repository.ts'
import { type CommitDeps, commit, type Effects } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { forgetOwnedSecondFactor } from '../sessions/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { lockUser } from '../users/without-owner.ts'
import { endAccess } from './end-access.ts'

/**
 * Removes an account's second factor, as part of a larger change.
 * @returns whether there was a confirmed one
 */
export async function removeFactorIn(
  trx: Trx,
  { owner, sid, ip }: { readonly owner: OwnerId; readonly sid?: string | undefined; readonly ip: string },
  effects: Effects,
): Promise<boolean> {
  if (!(await deleteOwnedFactor(trx, owner))) return false
  await forgetOwnedSecondFactor(trx, owner)
  effects.events.push({ event: 'factor_removed', userId: owner, sessionId: sid, ip })
  effects.notices.push({ kind: 'factor_removed', userId: owner, ip })
  return true
}

/**
 * Removes the second factor of an account whose user has lost it, by its operator. Every session ends: one of them may
 * be on the lost device.
 * @throws Problem user_not_found, second_factor_not_enrolled
 */
export async function resetSecondFactor(
  deps: SessionDeps & CommitDeps,
  owner: OwnerId,
  ip: string,
): Promise<void> {
  await commit(deps, async (trx, effects) => {
    if ((await lockUser(trx, owner)) === undefined) throw new Problem('user_not_found')
    if (!(await removeFactorIn(trx, { owner, ip }, effects))) throw new Problem('second_factor_not_enrolled')
    await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
  })
}
