import type { OutgoingMail } from './compose.ts'

/** What takes a mail away: a mail server, or in development the mailbox of the process. */
export interface Transport {
  /** @throws DeliveryError */
  send(mail: OutgoingMail): Promise<void>
  close(): void
}

/** A mail could not be handed over. The message is a class of failures: what a server says may quote the mail. */
export class DeliveryError extends Error {
  override name = 'DeliveryError'
  /** True when the server will never take it: there is no such mailbox. */
  readonly final: boolean

  constructor(message: string, final: boolean) {
    super(message)
    this.final = final
  }
}
