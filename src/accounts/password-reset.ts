import { endKeysIn } from '../api-keys/ending.ts'
import { deleteAllTokens, findToken, useToken } from '../one-time-tokens/repository.ts'
import { assertAcceptable } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { ownerByMail } from '../tokens/owner.ts'
import { mayBePreHijacked } from '../users/claims.ts'
import { noteReset } from '../users/password-resets.ts'
import { setOwnedPasswordHash, setOwnedVerifiedEmail } from '../users/repository.ts'
import { lockAccount } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { undoChange } from './email-change-undo.ts'
import { endAccess } from './end-access.ts'
import { removeFormerParty } from './take-over.ts'

/**
 * Sets a new password for a token mailed to the account's address, or to its address before a change. Every session
 * and API key ends, the other tokens of the account are deleted, and the address counts as verified; no session is opened. An
 * account that may have been pre-hijacked loses its content.
 * @throws Problem invalid_token, password_too_common, validation_failed, service_unavailable
 */
export async function resetPassword(
  deps: AccountDeps,
  { token, wanted }: { token: string; wanted: string },
  { ip, signal }: Caller,
): Promise<void> {
  // Checked before the token is looked up, so that the error does not reveal whether it is valid.
  assertAcceptable(deps, wanted, { path: 'new_password', email: null })
  // Looked up before hashing, so that junk costs no hash; used up in the transaction, since hashing can fail.
  const found = await findToken(deps.db, token, ['password_reset', 'email_change_undo'])
  if (!found) throw new Problem('invalid_token')
  assertAcceptable(deps, wanted, { path: 'new_password', email: found.email })
  const passwordHash = await deps.passwords.hash(wanted, signal)
  await commit(deps, async (trx, effects) => {
    const account = await lockAccount(trx, { id: found.user_id })
    const used = await useToken(trx, found)
    if (!used || !account) throw new Problem('invalid_token')
    const owner = ownerByMail(used)
    const isUndo = used.purpose === 'email_change_undo'
    if (isUndo) await undoChange(trx, deps, { account, used, ip }, effects)
    else if (account.email !== used.email) throw new Problem('invalid_token')
    else if (mayBePreHijacked(account)) await removeFormerParty(trx, owner)
    await setOwnedPasswordHash(trx, owner, passwordHash)
    await setOwnedVerifiedEmail(trx, owner, used.email)
    await deleteAllTokens(trx, owner, used.email)
    await noteReset(trx, owner, ip)
    effects.events.push({ event: 'password_reset', userId: owner, ip })
    effects.notices.push({ kind: 'password_reset', userId: owner, ip })
    await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
    await endKeysIn(trx, { userId: owner, ip }, effects)
  })
}
