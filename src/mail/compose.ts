import { findUser } from '../accounts/users.ts'
import type { Db } from '../db/schema.ts'
import type { LinkMailName, MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { mailedToken } from './one-time-token.ts'
import { startTokenTime } from './one-time-token-repository.ts'
import type { OutboxRow } from './queue.ts'
import { type Rendered, render } from './render.ts'
import { isLinkMail, purposes, secondsOf } from './resolution.ts'
import type { MailAddress } from './settings.ts'
import type { Texts } from './texts.ts'

/** What every mail of an installation has in common. */
export interface MailStyle {
  readonly from: MailAddress
  /** The base of every link. Configuration only: a link must never lead where a request says. */
  readonly appUrl: string
  readonly texts: Texts
}

/** A mail, ready to be sent. */
export interface OutgoingMail extends Rendered {
  readonly from: MailAddress
  readonly to: string
  /** The same on every attempt. */
  readonly messageId: string
  readonly name: MailName
  /** What must reach the mailbox and nothing else: no log. */
  readonly secret: string | undefined
  readonly link: string | undefined
}

/** The mail is of no use any more: its token was used, or replaced by a newer one. */
export class Superseded extends Error {
  override name = 'Superseded'
}

/** The token of a mail cannot be made again: neither secret is the one that it was made under. */
export class UnknownSecret extends Error {
  override name = 'UnknownSecret'
}

/** The frontend's page for each link. */
const pages: Readonly<Record<LinkMailName, string>> = {
  verify_email: 'verify-email',
  confirm_email_change: 'verify-email',
  reset_password: 'reset-password',
  choose_password: 'reset-password',
}

/** In the fragment, which a browser sends to nobody: no access log has it, and no Referer header. */
const linkTo = (appUrl: string, mail: LinkMailName, token: string) =>
  `${appUrl}/${pages[mail]}#token=${token}`

/**
 * Makes the mail of an outbox row, with its token if it has one.
 * @throws Superseded, UnknownSecret
 */
export async function compose(
  db: Db,
  policy: TokenPolicy,
  style: MailStyle,
  row: OutboxRow & { mail: MailName },
): Promise<OutgoingMail> {
  const secret = isLinkMail(row.mail) ? await tokenOf(db, policy, row, row.mail) : undefined
  const link = secret && isLinkMail(row.mail) ? linkTo(style.appUrl, row.mail, secret) : undefined
  const facts = {
    name: await greetedName(db, row),
    time: row.created_at,
    ip: row.ip ?? '',
    address: row.recipient,
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
}

/** Puts facts into the words of a mail. */
export function renderMail(
  { texts, from, appUrl }: MailStyle,
  policy: TokenPolicy,
  mail: MailName,
  { link, time, ...facts }: MailFacts,
): Rendered {
  const lifetime = isLinkMail(mail) ? inWords(texts, secondsOf(mail, policy)) : ''
  // What a sender is called is what its readers know the service as.
  const service = from.name || new URL(appUrl).host
  const values = { ...facts, service, lifetime, time: `${time.slice(0, 16).replace('T', ' ')} UTC` }
  return render(texts, { words: texts.mails[mail], values, link })
}

async function tokenOf(
  db: Db,
  policy: TokenPolicy,
  { token_hash }: OutboxRow,
  mail: LinkMailName,
): Promise<string> {
  const stored = token_hash && (await startTokenTime(db, token_hash, secondsOf(mail, policy)))
  if (!stored || stored.purpose !== purposes[mail]) throw new Superseded()
  const token = mailedToken(policy.keys, stored)
  if (token === undefined) throw new UnknownSecret()
  return token
}

/**
 * An account's name, only where its owner has proved the address: anybody can sign up with anybody's address, and a
 * name of their choice, and the service must not carry their words there.
 */
async function greetedName(db: Db, { user_id, mail }: OutboxRow): Promise<string> {
  if (user_id === null || mail === 'already_registered' || mail === 'confirm_email_change') return ''
  const user = await findUser(db, user_id)
  return user?.email_verified ? user.name : ''
}

function inWords({ language }: Texts, seconds: number): string {
  const unit = seconds % 3600 === 0 ? 'hour' : 'minute'
  const count = unit === 'hour' ? seconds / 3600 : Math.round(seconds / 60)
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
}
