import type { TokenPurpose } from '../one-time-tokens/token.ts'
import type { LinkMailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'

/** The token's purpose for each mail with a link. */
export const purposes: Readonly<Record<LinkMailName, TokenPurpose>> = {
  verify_email: 'email_verification',
  choose_password: 'password_reset',
  invitation: 'password_reset',
  reset_password: 'password_reset',
  confirm_email_change: 'email_change',
  email_change_requested: 'email_change_undo',
}

export const isLinkMail = (mail: string): mail is LinkMailName => Object.hasOwn(purposes, mail)

/** Lifetime of a mail's link. */
export function secondsOf(mail: LinkMailName, { resetSeconds, verificationSeconds }: TokenPolicy): number {
  // Nobody waits for an invitation, unlike for a reset.
  const isReset = purposes[mail] === 'password_reset' && mail !== 'invitation'
  return isReset ? resetSeconds : verificationSeconds
}
