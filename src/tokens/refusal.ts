/** Why a token was refused. For the log: a client is told one thing for all of them. */
export type RefusalReason =
  | 'missing'
  | 'malformed'
  | 'header'
  | 'algorithm'
  | 'key'
  | 'type'
  | 'issuer'
  | 'audience'
  | 'subject'
  | 'session'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_at'
  | 'lifetime'
  | 'revoked'
  | 'signature'

/** A token that does not authenticate anyone. Its message is the reason, nothing of the token. */
export class TokenRefused extends Error {
  override name = 'TokenRefused'
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    super(reason)
    this.reason = reason
  }
}
