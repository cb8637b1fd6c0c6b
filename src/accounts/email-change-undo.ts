import { endKeysIn } from '../api-keys/ending.ts'
import { violatesUnique } from '../db/errors.ts'
import type { Trx } from '../db/schema.ts'
import { findLiveToken, insertToken, type OneTimeToken } from '../one-time-tokens/repository.ts'
import { newToken, type OneTimeKeys } from '../one-time-tokens/token.ts'
import { Problem } from '../problem.ts'
import type { Effects } from '../sessions/commit.ts'
import { noteEnded } from '../sessions/ending.ts'
import { accessTokenLife, endSurplusSessions } from '../sessions/revocation-repository.ts'
import { ownerByMail } from '../tokens/owner.ts'
import type { UsedToken } from '../tokens/used-token.ts'
import { setOwnedVerifiedEmail } from '../users/repository.ts'
import { deleteUnverifiedUser, type LockedAccount, lockAccount } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'

interface Undo {
  readonly keys: OneTimeKeys
  readonly seconds: number
  readonly ip: string
}

/**
 * Notifies the present address of a requested change, with a link that undoes it. Each mail has the same link until it
 * expires: an attacker who asks again, or has changed the address already, must not be able to replace it.
 */
export async function offerUndo(
  trx: Trx,
  { id: userId, email, email_verified }: LockedAccount,
  { keys, seconds, ip }: Undo,
  { notices }: Effects,
): Promise<void> {
  if (!email || !email_verified) return
  const present = await findLiveToken(trx, userId, 'email_change_undo')
  if (present && present.email !== email) return
  const token = present ?? newToken(keys, 'email_change_undo')
  if (!present) await insertToken(trx, token, { userId, email, seconds })
  notices.push({ kind: 'email_change_requested', userId, tokenHash: token.token_hash, ip })
}

/**
 * Gives the account the address that the token was mailed to, whether the change has been confirmed or not.
 * @throws Problem invalid_token when another verified account has the address
 */
export async function undoChange(
  trx: Trx,
  { sessionPolicy }: AccountDeps,
  { account, used, ip }: { account: LockedAccount; used: OneTimeToken & UsedToken; ip: string },
  effects: Effects,
): Promise<void> {
  if (account.email === used.email) return
  const owner = ownerByMail(used)
  // Squatting: once the change had freed the address, anybody could sign up with it.
  const holder = await lockAccount(trx, { email: used.email })
  if (holder?.email_verified) throw new Problem('invalid_token', { reason: 'taken' })
  if (holder) {
    const ended = await endSurplusSessions(trx, accessTokenLife(sessionPolicy), holder.id, 0)
    noteEnded(effects, ended, { userId: holder.id, ip })
    await endKeysIn(trx, { userId: holder.id, ip }, effects)
    await deleteUnverifiedUser(trx, holder.id)
    effects.events.push({ event: 'account_deleted', userId: holder.id, ip })
  }
  await setOwnedVerifiedEmail(trx, owner, used.email).catch((error: unknown) => {
    throw violatesUnique(error, 'users_email_key') ? new Problem('invalid_token', { reason: 'taken' }) : error
  })
  effects.events.push({ event: 'email_changed', userId: owner, ip })
  if (account.email && account.email_verified) {
    effects.notices.push({ kind: 'email_changed', userId: owner, recipient: account.email, ip })
  }
}
