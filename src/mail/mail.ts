import type { OneTimeKeys } from '../one-time-tokens/token.ts'

/** Lifetimes and keys of mailed tokens. */
export interface TokenPolicy {
  readonly resetSeconds: number
  readonly verificationSeconds: number
  readonly keys: OneTimeKeys
}

/** The interface of mail to the other rooms, which insert outbox rows and then wake the worker. */
export interface Mail {
  /** False in production without SMTP_URL. */
  readonly available: boolean
  readonly tokens: TokenPolicy
  /** Call after the commit of a transaction that inserted mail. */
  wake(): void
}
