import type { AccountDeps } from '../accounts/deps.ts'
import { assertMailAvailable, assertRoom } from '../accounts/mail-requests.ts'
import { assertDeliverable } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import { insertInvitedUser } from '../users/creation.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { neutralName } from '../users/user.ts'
import { commitAs, type Operator } from './operator.ts'
import { type AdminUser, getUser } from './repository.ts'

interface Invitation {
  readonly email: CanonicalEmail
  readonly name: string | undefined
}

/**
 * Creates an account without a password, and mails the link that sets one, which also proves the address.
 * @throws Problem email_already_registered with status 409, validation_failed, mail_unavailable
 */
export async function inviteUser(
  deps: AccountDeps,
  operator: Operator,
  { email, name = neutralName }: Invitation,
): Promise<AdminUser> {
  assertDeliverable(email, 'email')
  assertMailAvailable(deps)
  return commitAs(deps, operator, async (trx, { events, request }) => {
    const user = await insertInvitedUser(trx, { email, name })
    if (!user) throw new Problem('email_already_registered', { status: 409 })
    assertRoom(await request({ kind: 'invitation', recipient: email }))
    events.push({ event: 'account_created', userId: user.id }, { event: 'user_invited', userId: user.id })
    return getUser(trx, user.id)
  })
}
