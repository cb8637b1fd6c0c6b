import { insertToken } from '../one-time-tokens/repository.ts'
import { newToken } from '../one-time-tokens/token.ts'
import { assertDeliverable, fieldProblem } from '../passwords/acceptable.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { lockAccount } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { offerUndo } from './email-change-undo.ts'
import { assertMailAvailable, assertRoom } from './mail-requests.ts'
import { withOwnedPassword } from './password-check.ts'

/**
 * Requests a change of address, for the right password. The address stays until the token mailed to the new one is
 * presented; the present one is notified, with a link that undoes the change. Whether the new one is taken is not
 * looked up here, so that the answer does not reveal it: its holder gets a mail instead.
 * @throws Problem mail_unavailable, user_not_found, invalid_credentials, validation_failed, service_unavailable
 */
export async function requestEmailChange(
  deps: AccountDeps,
  owner: OwnerId,
  { email, password }: { email: CanonicalEmail; password: string },
  caller: Caller,
): Promise<void> {
  assertMailAvailable(deps)
  assertDeliverable(email, 'new_email')
  const { keys, verificationSeconds: seconds } = deps.mail.tokens
  await withOwnedPassword(deps, owner, password, caller, (currentHash) =>
    commit(deps, async (trx, effects) => {
      const account = await lockAccount(trx, { id: owner })
      if (account?.password_hash !== currentHash) return undefined
      if (account.email === email) throw fieldProblem('new_email', 'must differ from the current one')
      const token = newToken(keys, 'email_change')
      const mail = {
        kind: 'email_change',
        recipient: email,
        userId: owner,
        tokenHash: token.token_hash,
      } as const
      const outcome = await effects.request(mail)
      assertRoom(outcome)
      if (outcome !== 'accepted') return true
      await insertToken(trx, token, { userId: owner, email, seconds })
      await offerUndo(trx, account, { keys, seconds, ip: caller.ip }, effects)
      return true
    }),
  )
}
