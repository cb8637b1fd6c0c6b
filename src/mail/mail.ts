import type { OneTimeKeys } from '../one-time-tokens/token.ts'

/** How long what is mailed is good for, in seconds, and the keys that it is made with. */
export interface TokenPolicy {
  readonly resetSeconds: number
  readonly verificationSeconds: number
  readonly keys: OneTimeKeys
}

/** What the rest of the service knows of mail: it leaves rows in the outbox, and says that it has. */
export interface Mail {
  /** False where nothing could ever send one: in production without SMTP_URL. */
  readonly available: boolean
  readonly tokens: TokenPolicy
  /** To be called once a transaction that left mail has committed. */
  wake(): void
}
