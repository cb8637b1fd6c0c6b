import type { Db } from '../db/schema.ts'
import { type OneTimeToken, startTokenTime } from '../one-time-tokens/repository.ts'
import { mailedToken } from '../one-time-tokens/token.ts'
import { mayBePreHijacked } from '../users/claims.ts'
import { findAddressee } from '../users/without-owner.ts'
import { greetedName } from './greeted-name.ts'
import type { LinkMailName, MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { isLinkMail, purposes, secondsOf } from './purposes.ts'
import type { OutboxRow } from './queue.ts'
import { type Rendered, render } from './render.ts'
import type { MailAddress } from './settings.ts'
import type { Texts } from './texts.ts'

/** Settings common to all mails. */
export interface MailStyle {
  readonly from: MailAddress
  /** The base of every link; never taken from a request (host header injection). */
  readonly appUrl: string
  readonly texts: Texts
}

export interface OutgoingMail extends Rendered {
  readonly from: MailAddress
  readonly to: string
  /** Stable over retries. */
  readonly messageId: string
  readonly name: MailName
  /** Must never be logged. */
  readonly secret: string | undefined
  readonly link: string | undefined
}

/** The token of the mail was used or replaced. */
export class Superseded extends Error {
  override name = 'Superseded'
}

/** The token cannot be derived: it was created under neither the current nor the previous secret. */
export class UnknownSecret extends Error {
  override name = 'UnknownSecret'
}

/** The frontend's page for each link. */
const pages: Readonly<Record<LinkMailName, string>> = {
  verify_email: 'verify-email',
  confirm_email_change: 'verify-email',
  reset_password: 'reset-password',
  choose_password: 'reset-password',
  invitation: 'reset-password',
  // Undoing a change of address sets a new password: a thief who asked for it knows the present one.
  email_change_requested: 'reset-password',
}

/** In the fragment, which browsers do not send: it reaches no access log and no Referer header. */
const linkTo = (appUrl: string, mail: LinkMailName, token: string) =>
  `${appUrl}/${pages[mail]}#token=${token}`

/**
 * Renders the mail of an outbox row, deriving its token.
 * @throws Superseded, UnknownSecret
 */
export async function compose(
  db: Db,
  policy: TokenPolicy,
  style: MailStyle,
  row: OutboxRow & { mail: MailName },
): Promise<OutgoingMail> {
  const token = isLinkMail(row.mail) ? await tokenOf(db, policy, row, row.mail) : undefined
  const secret = token && secretOf(policy, token)
  const link = secret && isLinkMail(row.mail) ? linkTo(style.appUrl, row.mail, secret) : undefined
  // The token's account comes first: the request may be another account's.
  const userId = token?.user_id ?? row.user_id
  const account = userId === null ? undefined : await findAddressee(db, userId)
  const facts = {
    name: greetedName(account, row.recipient),
    time: row.created_at,
    ip: row.ip ?? '',
    address: row.recipient,
    beginsAnew: account !== undefined && mayBePreHijacked(account),
  }
  const rendered = renderMail(style, policy, row.mail, { ...facts, link })
  const domain = style.from.address.split('@').at(-1)
  return {
    ...rendered,
    from: style.from,
    to: row.recipient,
    messageId: `<${row.message_id}@${domain}>`,
    name: row.mail,
    secret,
    link,
  }
}

interface MailFacts {
  readonly name: string
  /** RFC 3339. */
  readonly time: string
  readonly ip: string
  readonly address: string
  readonly link: string | undefined
  /** Whether a reset by the link erases the account's data. */
  readonly beginsAnew?: boolean
}

/** Fills in the placeholders of a mail's texts. */
export function renderMail(
  { texts, from, appUrl }: MailStyle,
  policy: TokenPolicy,
  mail: MailName,
  { link, time, beginsAnew = false, ...facts }: MailFacts,
): Rendered {
  const lifetime = isLinkMail(mail) ? inWords(texts, secondsOf(mail, policy)) : ''
  const values = {
    ...facts,
    service: serviceName({ from, appUrl }),
    lifetime,
    time: `${time.slice(0, 16).replace('T', ' ')} UTC`,
  }
  const words = texts.mails[mail]
  const before = [...words.before, ...(beginsAnew ? (words.beforeAnew ?? []) : [])]
  return render(texts, { words: { ...words, before }, values, link })
}

/** The display name of the sender is the name of the service. */
export function serviceName({ from, appUrl }: Pick<MailStyle, 'from' | 'appUrl'>): string {
  return from.name || new URL(appUrl).host
}

async function tokenOf(
  db: Db,
  policy: TokenPolicy,
  { token_hash }: OutboxRow,
  mail: LinkMailName,
): Promise<OneTimeToken> {
  const stored = token_hash && (await startTokenTime(db, token_hash, secondsOf(mail, policy)))
  if (!stored || stored.purpose !== purposes[mail]) throw new Superseded()
  return stored
}

function secretOf(policy: TokenPolicy, stored: OneTimeToken): string {
  const token = mailedToken(policy.keys, stored)
  if (token === undefined) throw new UnknownSecret()
  return token
}

function inWords({ language }: Texts, seconds: number): string {
  const unit = seconds % 3600 === 0 ? 'hour' : 'minute'
  const count = unit === 'hour' ? seconds / 3600 : Math.round(seconds / 60)
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
}
