import type { Db, Trx } from '../db/schema.ts'
import { insertToken } from '../one-time-tokens/repository.ts'
import { newToken } from '../one-time-tokens/token.ts'
import { type LockedAccount, lockAccount } from '../users/without-owner.ts'
import type { LinkMailName, RequestKind } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { purposes, secondsOf } from './purposes.ts'
import { discard, type OutboxRow, setResolved } from './queue.ts'
import { isOwnReset, mayLeave } from './share.ts'

/** The mail that a request for an account's address causes. */
function mailFor(kind: RequestKind, account: LockedAccount): LinkMailName | 'already_registered' | null {
  if (kind === 'forgot') return 'reset_password'
  // Only while it is open: whoever has the account by now needs no invitation.
  if (kind === 'invitation')
    return account.email_verified || account.password_hash !== null ? null : 'invitation'
  if (account.email_verified) return kind === 'resend' ? null : 'already_registered'
  // No usable password, or a contested signup: the reader of the mailbox chooses a password.
  const claimed = kind === 'signup' && account.contested
  return claimed || account.password_hash === null ? 'choose_password' : 'verify_email'
}

/**
 * Looks up the account of a request's address, and turns the request into a mail with a token, in one transaction.
 * @returns undefined when there is nothing to send
 */
export async function resolve(db: Db, policy: TokenPolicy, row: OutboxRow): Promise<OutboxRow | undefined> {
  return db.transaction().execute(async (trx) => {
    const resolved =
      row.kind === 'email_change' ? await emailChange(trx, policy, row) : await named(trx, policy, row)
    if (!resolved) await discard(trx, row.id)
    return resolved
  })
}

async function named(trx: Trx, policy: TokenPolicy, row: OutboxRow): Promise<OutboxRow | undefined> {
  const account = await lockAccount(trx, { email: row.recipient })
  const mail = account && mailFor(row.kind as RequestKind, account)
  if (!mail || !(await mayLeave(trx, policy, row, account, mail))) return undefined
  const tokenHash = mail === 'already_registered' ? null : await makeToken(trx, policy, account.id, mail, row)
  const beyondShare = isOwnReset(row, account)
  return setResolved(trx, row.id, { mail, userId: account.id, tokenHash, beyondShare })
}

/**
 * The token was created with the request, so that a change of password could revoke it. Whatever is mailed counts
 * against the quota of the account that asked: otherwise the quota would reveal whether the address is registered.
 */
async function emailChange(trx: Trx, policy: TokenPolicy, row: OutboxRow): Promise<OutboxRow | undefined> {
  const { id, user_id: userId, recipient, token_hash: tokenHash } = row
  if (userId === null) return undefined
  const holder = await lockAccount(trx, { email: recipient })
  if (!holder) return setResolved(trx, id, { mail: 'confirm_email_change', userId, tokenHash })
  // The holder has not verified the address: mail the holder's link instead.
  const mail = mailFor('email_change', holder)
  if (mail === null || mail === 'already_registered') {
    return setResolved(trx, id, { mail: 'already_registered', userId, tokenHash: null })
  }
  return setResolved(trx, id, { mail, userId, tokenHash: await makeToken(trx, policy, holder.id, mail, row) })
}

async function makeToken(
  trx: Trx,
  policy: TokenPolicy,
  userId: string,
  mail: LinkMailName,
  { recipient: email }: OutboxRow,
): Promise<Uint8Array> {
  const token = newToken(policy.keys, purposes[mail])
  await insertToken(trx, token, { userId, email, seconds: secondsOf(mail, policy) })
  return token.token_hash
}
