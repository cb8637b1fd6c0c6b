import { isDatabaseUnavailable } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { describeError } from '../log.ts'
import { compose, type MailStyle, Superseded, UnknownSecret } from './compose.ts'
import type { MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { claimMails, finish, type OutboxRow, postpone } from './queue.ts'
import { resolve } from './resolution.ts'
import { DeliveryError, type Transport } from './transport.ts'

/** Concurrent deliveries of one process. */
const concurrency = 5

/** Before the first retry; doubles with each attempt. */
const firstDelaySeconds = 10
const maxDelaySeconds = 3_600

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
 * Delivers the outbox, in any number of processes. A mail is claimed by a lease, so that no transaction stays open
 * during SMTP. Failed deliveries are retried with exponential backoff.
 */
export class MailWorker {
  readonly #options: MailWorkerOptions
  readonly #inFlight = new Set<Promise<void>>()
  #filling: Promise<void> | undefined
  /** Whether there may be more due mails than the last claim returned. */
  #more = false
  #timer: NodeJS.Timeout | undefined
  #stopped = true
  #failing = false

  constructor(options: MailWorkerOptions) {
    this.#options = options
  }

  start(): void {
    this.#stopped = false
    this.#timer = setInterval(() => this.wake(), this.#options.pollEvery ?? 5_000).unref()
    this.wake()
  }

  /** Polls the outbox now. */
  wake(): void {
    if (this.#stopped) return
    this.#more = true
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
      // wake() was called meanwhile.
      if (this.#more && this.#inFlight.size < concurrency) this.wake()
    })
  }

  /** Resolves when no mail is due or in flight. */
  async settled(): Promise<void> {
    while (this.#filling || this.#inFlight.size > 0) {
      await Promise.all([this.#filling, ...this.#inFlight])
    }
  }

  /** Waits for the deliveries in flight; the rest stays in the outbox. */
  async stop(timeoutMs: number): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped = true
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([this.settled(), timeout]).finally(() => clearTimeout(timer))
    this.#options.transport.close()
  }

  async #fill(): Promise<void> {
    while (this.#more && this.#inFlight.size < concurrency) {
      this.#more = false
      const free = concurrency - this.#inFlight.size
      const rows = await claimMails(this.#options.db, free).catch((error: unknown) =>
        this.#noteFailure(error),
      )
      if (!rows) return
      this.#failing = false
      if (rows.length === free) this.#more = true
      for (const row of rows) this.#begin(row)
    }
  }

  #begin(row: OutboxRow): void {
    const delivery = this.#deliver(row)
      // The mail is claimed again when its lease has expired.
      .catch((error: unknown) => void this.#noteFailure(error))
      .finally(() => {
        this.#inFlight.delete(delivery)
        if (this.#more) this.wake()
      })
    this.#inFlight.add(delivery)
  }

  async #deliver(claimed: OutboxRow): Promise<void> {
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
    const seconds =
      Math.min(firstDelaySeconds * 2 ** (row.attempts - 1), maxDelaySeconds) * (0.75 + Math.random() / 2)
    const fields = { ...fieldsOf(row), reason, ...(known ? {} : { err: error }) }
    if (await postpone(db, row.id, { seconds, error: reason, giveUp })) {
      log.error({ event: 'mail_given_up', ...fields }, 'a mail could not be sent and is given up')
    } else {
      log.warn({ event: 'mail_delayed', ...fields }, 'a mail could not be sent; trying again later')
    }
  }

  /** Logs once per outage of the database; polling continues. */
  #noteFailure(error: unknown): undefined {
    if (!this.#failing)
      this.#options.log.warn({ err: error }, 'the mail outbox could not be read; trying again')
    this.#failing = true
  }
}

/** Log fields: neither content nor recipient. */
function fieldsOf({ id, mail, kind, user_id, attempts }: OutboxRow) {
  return { mail_id: id, mail: mail ?? kind, user_id, attempts }
}
