import type { OutgoingMail } from './compose.ts'
import type { Transport } from './transport.ts'
import type { MailLog } from './worker.ts'

export interface DeliveredMail extends OutgoingMail {
  readonly number: number
  /** RFC 3339. */
  readonly at: string
}

const kept = 50

/** The transport of development without a mail server: keeps the latest mails in memory and logs them. */
export class LocalMailbox implements Transport {
  readonly #log: Pick<MailLog, 'info'>
  readonly #mails: DeliveredMail[] = []
  #count = 0

  constructor(log: Pick<MailLog, 'info'>) {
    this.#log = log
  }

  /** Newest first. */
  get mails(): readonly DeliveredMail[] {
    return this.#mails
  }

  async send(mail: OutgoingMail): Promise<void> {
    this.#count += 1
    this.#mails.unshift({ ...mail, number: this.#count, at: new Date().toISOString() })
    this.#mails.splice(kept)
    const text = mail.secret ? mail.text.replaceAll(mail.secret, '(see /dev/mailbox)') : mail.text
    this.#log.info({ event: 'mail', to: mail.to, subject: mail.subject, text }, 'mail')
  }

  close(): void {}
}
