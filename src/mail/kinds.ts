/**
 * Mails that anyone can request for an address, and the invitation, which only an operator can. The request is stored as it is; the worker looks the account up later,
 * so that neither answer nor timing can depend on it.
 */
export type RequestKind = 'signup' | 'resend' | 'forgot' | 'email_change' | 'invitation'

/** Notices to an account's owner. */
export type NoticeKind =
  | 'password_changed'
  | 'password_reset'
  | 'email_change_requested'
  | 'email_changed'
  | 'refresh_token_reused'
  | 'api_key_created'
  | 'factor_added'
  | 'factor_removed'
  | 'second_factor_failed'
  | 'recovery_code_used'
  | 'recovery_codes_replaced'

export type MailKind = RequestKind | NoticeKind

/** Mails with a link. */
export type LinkMailName =
  | 'verify_email'
  | 'choose_password'
  | 'invitation'
  | 'reset_password'
  | 'confirm_email_change'
  | 'email_change_requested'

/** Each has a text of its own. */
export type MailName = LinkMailName | 'already_registered' | NoticeKind
