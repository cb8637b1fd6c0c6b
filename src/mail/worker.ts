import { isDatabaseUnavailable } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { describeError } from '../log.ts'
import { type Backoff, retryDelay } from '../outbox/retry-delay.ts'
import { OutboxWorker } from '../outbox/worker.ts'
import { compose, type MailStyle, Superseded, UnknownSecret } from './compose.ts'
import type { MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { claimMails, finish, type OutboxRow, postpone } from './queue.ts'
import { resolve } from './resolution.ts'
import { DeliveryError, type Transport } from './transport.ts'

const backoff: Backoff = { firstSeconds: 10, factor: 2, maxSeconds: 3_600 }

/** The part of a pino logger that the worker needs. */
export interface MailLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface MailWorkerOptions {
  readonly db: Db
  readonly tokens: TokenPolicy
  readonly style: MailStyle
  readonly transport: Transport
  readonly log: MailLog
  /** Milliseconds; this process calls {@link MailWorker.wake} for mails of its own. */
  readonly pollEvery?: number
}

/**
 * Delivers the outbox, in any number of processes. Failed deliveries are retried with exponential backoff.
 */
export class MailWorker extends OutboxWorker<OutboxRow> {
  readonly #options: MailWorkerOptions

  constructor(options: MailWorkerOptions) {
    super(options.pollEvery)
    this.#options = options
  }

  override async stop(timeoutMs: number): Promise<void> {
    await super.stop(timeoutMs)
    this.#options.transport.close()
  }

  protected override claim(limit: number): Promise<OutboxRow[]> {
    return claimMails(this.#options.db, limit)
  }

  protected override noteUnreadable(err: unknown): void {
    this.#options.log.warn({ err }, 'the mail outbox could not be read; trying again')
  }

  protected override async deliver(claimed: OutboxRow): Promise<void> {
    const { db, tokens, style, transport, log } = this.#options
    let row: OutboxRow | undefined = claimed
    try {
      if (claimed.mail === null) row = await resolve(db, tokens, claimed)
      if (!row?.mail) return
      await transport.send(await compose(db, tokens, style, row as OutboxRow & { mail: MailName }))
    } catch (error) {
      if (isDatabaseUnavailable(error)) throw error
      if (error instanceof Superseded) return finish(db, claimed.id, 'dropped')
      return this.#putOff(row ?? claimed, error)
    }
    await finish(db, row.id, 'sent')
    log.info({ event: 'mail_sent', ...fieldsOf(row) }, 'mail sent')
  }

  async #putOff(row: OutboxRow, error: unknown): Promise<void> {
    const { db, log } = this.#options
    const known = error instanceof DeliveryError || error instanceof UnknownSecret
    const reason = error instanceof DeliveryError ? error.message : describeError(error).type
    const giveUp = error instanceof UnknownSecret || (error instanceof DeliveryError && error.final)
    const seconds = retryDelay(backoff, row.attempts)
    const fields = { ...fieldsOf(row), reason, ...(known ? {} : { err: error }) }
    if (await postpone(db, row.id, { seconds, error: reason, giveUp })) {
      log.error({ event: 'mail_given_up', ...fields }, 'a mail could not be sent and is given up')
    } else {
      log.warn({ event: 'mail_delayed', ...fields }, 'a mail could not be sent; trying again later')
    }
  }
}

/** Log fields: neither content nor recipient. */
function fieldsOf({ id, mail, kind, user_id, attempts }: OutboxRow) {
  return { mail_id: id, mail: mail ?? kind, user_id, attempts }
}
