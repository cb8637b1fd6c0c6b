import { Problem } from '../problem.ts'
import { commit } from '../sessions/commit.ts'
import type { CanonicalEmail } from '../users/email.ts'
import type { AccountDeps } from './deps.ts'

/**
 * Requests a mail with a link to set a password, or to verify the address. No account is looked up here, so that
 * neither the answer nor its timing reveals one.
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

/** @throws Problem mail_unavailable without a mail server */
export function assertMailAvailable({ mail }: Pick<AccountDeps, 'mail'>): void {
  if (!mail.available) throw new Problem('mail_unavailable', { reason: 'no_smtp_url' })
}

/**
 * A mailbox past its hourly quota gets no further mail, which the answer does not reveal.
 * @throws Problem mail_unavailable when the outbox is full
 */
export function assertRoom(outcome: 'accepted' | 'limited' | 'full'): void {
  if (outcome !== 'full') return
  throw new Problem('mail_unavailable', { reason: 'outbox_full', headers: { 'retry-after': '60' } })
}
