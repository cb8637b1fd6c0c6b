/** Why a token was refused; for the log only, the response is the same for all. */
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
  | 'key_checksum'
  | 'key_unknown'
  | 'limited'
  | 'signature'
  | 'credentials'
  | 'user_token'
  | 'service_token'

/** A token that was refused. The message is the reason and contains nothing of the token. */
export class TokenRefused extends Error {
  override name = 'TokenRefused'
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    super(reason)
    this.reason = reason
  }
}
