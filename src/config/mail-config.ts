import {
  heloName,
  isHeloName,
  type MailAddress,
  parseMailFrom,
  parseSmtpUrl,
  type SmtpServer,
} from '../mail/settings.ts'
import type { Variables } from './environment.ts'

export interface MailConfig {
  /** Undefined without SMTP_URL: development keeps mails in its mailbox, production sends none. */
  readonly smtp: SmtpServer | undefined
  /** The name in EHLO; undefined where no variable has a host name. */
  readonly helo: string | undefined
  readonly from: MailAddress
  /** Base URL of the frontend, and so of every link in a mail; without a trailing slash. */
  readonly appUrl: string
  readonly verificationRequired: boolean
  readonly verificationHours: number
  readonly resetMinutes: number
  /** Age at which an unverified account is deleted; 0 is never. */
  readonly unverifiedDays: number
}

/** Faults of production: required variables that are unset. */
export function missingForMail(variables: Variables): string[] {
  if (variables.SMTP_URL !== undefined) {
    return (['APP_URL', 'MAIL_FROM'] as const)
      .filter((name) => variables[name] === undefined)
      .map((name) => `${name} must be set when SMTP_URL is`)
  }
  // Otherwise nobody could ever log in.
  return variables.REQUIRE_EMAIL_VERIFICATION
    ? ['SMTP_URL must be set when REQUIRE_EMAIL_VERIFICATION=true']
    : []
}

/** Faults of any mode: variables that are invalid. */
export function mailFaults({ SMTP_URL: smtp, SMTP_HELO: helo, MAIL_FROM: from }: Variables): string[] {
  const faults: string[] = []
  if (smtp !== undefined && !parseSmtpUrl(smtp)) {
    faults.push(
      'SMTP_URL must be smtp:// or smtps:// with a host, and no path or query; in a user or password, white space and what a URL reserves are percent-encoded',
    )
  }
  if (helo !== undefined && !isHeloName(helo)) {
    faults.push('SMTP_HELO must be a host name, or an address in brackets, such as [192.0.2.1]')
  }
  if (from !== undefined && !parseMailFrom(from)) {
    faults.push('MAIL_FROM must be an address, or a name and an address: Name <address>')
  }
  return faults
}

/** The variables must have no faults. */
export function mailConfig(variables: Variables, publicUrl: string): MailConfig {
  const { SMTP_URL: smtp, MAIL_FROM: from = 'Latchkey <latchkey@localhost>' } = variables
  const sender = parseMailFrom(from) as MailAddress
  const appUrl = (variables.APP_URL ?? publicUrl).replace(/\/+$/, '')
  return {
    smtp: smtp === undefined ? undefined : parseSmtpUrl(smtp),
    helo: variables.SMTP_HELO ?? heloName([publicUrl, appUrl], sender),
    from: sender,
    appUrl,
    verificationRequired: variables.REQUIRE_EMAIL_VERIFICATION,
    verificationHours: variables.EMAIL_VERIFICATION_HOURS,
    resetMinutes: variables.PASSWORD_RESET_MINUTES,
    unverifiedDays: variables.UNVERIFIED_ACCOUNT_DAYS,
  }
}
