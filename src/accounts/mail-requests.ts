import { Problem } from '../problem.ts'
import { commit } from '../sessions/commit.ts'
import type { CanonicalEmail } from '../users/email.ts'
import type { AccountDeps } from './deps.ts'

/**
 * Asks for a mail to an address: a link to set a password, or one to verify the address. Nothing is looked up here,
 * so an address with an account and one without are the same to it.
 * @throws Problem mail_unavailable
 */
export async function requestMail(
  deps: AccountDeps,
  kind: 'forgot' | 'resend',
  recipient: CanonicalEmail,
): Promise<void> {
  assertMailAvailable(deps)
  await commit(deps, async (_trx, { request }) => assertRoom(await request({ kind, recipient })))
}

/** @throws Problem mail_unavailable where nothing could ever send one */
export function assertMailAvailable({ mail }: Pick<AccountDeps, 'mail'>): void {
  if (!mail.available) throw new Problem('mail_unavailable', { reason: 'no_smtp_url' })
}

/**
 * A mailbox that has had its share of the hour gets no further mail, and nobody is told.
 * @throws Problem mail_unavailable when too many mails wait
 */
export function assertRoom(outcome: 'accepted' | 'limited' | 'full'): void {
  if (outcome !== 'full') return
  throw new Problem('mail_unavailable', { reason: 'outbox_full', headers: { 'retry-after': '60' } })
}
