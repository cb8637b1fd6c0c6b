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
  | 'key_unsupported'
  | 'limited'
  | 'signature'
  | 'credentials'
  | 'user_token'
  | 'service_token'

/** A token that was refused. The message is the reason and contains nothing of the token. */
export class TokenRefused extends Error {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    // Without a stack, as a Problem.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(reason)
    Error.stackTraceLimit = stackTraceLimit
    this.name = 'TokenRefused'
    this.reason = reason
  }
}
