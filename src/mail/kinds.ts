/**
 * What a stranger can cause by naming an address. It is written down as it was asked; whose address that is, and so
 * which mail it amounts to, is found out later by the worker, so that the answer cannot depend on it.
 */
export type RequestKind = 'signup' | 'resend' | 'forgot' | 'email_change'

/** What tells an account's owner of something that has happened to it. */
export type NoticeKind =
  | 'password_changed'
  | 'password_reset'
  | 'email_change_requested'
  | 'email_changed'
  | 'refresh_token_reused'

export type MailKind = RequestKind | NoticeKind

/** Mails with a link. */
export type LinkMailName =
  | 'verify_email'
  | 'choose_password'
  | 'reset_password'
  | 'confirm_email_change'
  | 'email_change_requested'

/** Each has a text of its own. */
export type MailName = LinkMailName | 'already_registered' | NoticeKind
