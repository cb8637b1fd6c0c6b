import { canonicalEmail } from '../accounts/email.ts'
import { findCredentials, lockAccount } from '../accounts/users.ts'
import type { Db, Trx } from '../db/schema.ts'
import type { LinkMailName, RequestKind } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { newToken, type TokenPurpose } from './one-time-token.ts'
import { insertToken } from './one-time-token-repository.ts'
import { discard, type OutboxRow, setResolved } from './queue.ts'

/** What the link of each mail opens. */
export const purposes: Readonly<Record<LinkMailName, TokenPurpose>> = {
  verify_email: 'email_verification',
  choose_password: 'password_reset',
  reset_password: 'password_reset',
  confirm_email_change: 'email_change',
}

export const isLinkMail = (mail: string): mail is LinkMailName => Object.hasOwn(purposes, mail)

/** How long the link of a mail is good for. */
export function secondsOf(mail: LinkMailName, { resetSeconds, verificationSeconds }: TokenPolicy): number {
  return purposes[mail] === 'password_reset' ? resetSeconds : verificationSeconds
}

interface Account {
  readonly id: string
  readonly email_verified: boolean
  readonly password_hash: string | null
}

/** What to tell the mailbox of an address on a request that named it; null for nothing. */
function mailFor(kind: RequestKind, account: Account): LinkMailName | 'already_registered' | null {
  if (kind === 'forgot') return 'reset_password'
  if (account.email_verified) return kind === 'signup' ? 'already_registered' : null
  // Nobody knows a password of it: one is chosen by whoever reads the mailbox.
  return account.password_hash === null ? 'choose_password' : 'verify_email'
}

/**
 * Finds out whose address a request named, and makes it a mail with a token of its own, in one transaction.
 * @returns the row with its mail, or undefined when there is nothing to send
 */
export async function resolve(db: Db, policy: TokenPolicy, row: OutboxRow): Promise<OutboxRow | undefined> {
  return db.transaction().execute(async (trx) => {
    const resolved = row.kind === 'email_change' ? await emailChange(trx, row) : await named(trx, policy, row)
    if (!resolved) await discard(trx, row.id)
    return resolved
  })
}

async function named(trx: Trx, policy: TokenPolicy, row: OutboxRow): Promise<OutboxRow | undefined> {
  const account = await lockAccount(trx, { email: row.recipient })
  const mail = account && mailFor(row.kind as RequestKind, account)
  if (!mail) return undefined
  if (mail === 'already_registered') {
    return setResolved(trx, row.id, { mail, userId: account.id, tokenHash: null })
  }
  const token = newToken(policy.keys, purposes[mail])
  await insertToken(trx, token, {
    userId: account.id,
    email: row.recipient,
    seconds: secondsOf(mail, policy),
  })
  return setResolved(trx, row.id, { mail, userId: account.id, tokenHash: token.token_hash })
}

/**
 * The token was made with the request, so that a change of password could take it back; here it is decided whether
 * it is mailed. Either way the mail counts as the one's who asked: the count must not tell which it was.
 */
async function emailChange(trx: Trx, { id, user_id, recipient, token_hash }: OutboxRow) {
  if (user_id === null) return undefined
  const holder = await findCredentials(trx, canonicalEmail(recipient))
  const mail = holder ? 'already_registered' : 'confirm_email_change'
  return setResolved(trx, id, { mail, userId: user_id, tokenHash: holder ? null : token_hash })
}
