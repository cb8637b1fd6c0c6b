import { isDatabaseUnavailable } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { describeError } from '../log.ts'
import { compose, type MailStyle, Superseded, UnknownSecret } from './compose.ts'
import type { MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { claimMails, finish, type OutboxRow, postpone } from './queue.ts'
import { resolve } from './resolution.ts'
import { DeliveryError, type Transport } from './transport.ts'

/** Mails that one process delivers at a time. */
const concurrency = 5

/** Seconds before the first retry; it doubles with each attempt. */
const firstDelay = 10
const longestDelay = 3_600

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
  /** Milliseconds between looks at the outbox; what this process writes is told by {@link MailWorker.wake}. */
  readonly pollEvery?: number
}

/**
 * Delivers what the outbox holds. Any number of processes can: a mail is taken by a lease, never by a transaction that
 * stays open while a mail server is spoken to. What fails is tried again, later each time.
 */
export class MailWorker {
  readonly #options: MailWorkerOptions
  readonly #underWay = new Set<Promise<void>>()
  #filling: Promise<void> | undefined
  /** There may be more than what was taken last. */
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

  /** Looks at the outbox now. */
  wake(): void {
    if (this.#stopped) return
    this.#more = true
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
      // Woken while it ended.
      if (this.#more && this.#underWay.size < concurrency) this.wake()
    })
  }

  /** Resolves when nothing is due any more. */
  async settled(): Promise<void> {
    while (this.#filling || this.#underWay.size > 0) {
      await Promise.all([this.#filling, ...this.#underWay])
    }
  }

  /** Finishes what is under way, in `patience` milliseconds at the most; the rest stays in the outbox. */
  async stop(patience: number): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped = true
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise((resolve) => {
      timer = setTimeout(resolve, patience)
    })
    await Promise.race([this.settled(), tooLong]).finally(() => clearTimeout(timer))
    this.#options.transport.close()
  }

  async #fill(): Promise<void> {
    while (this.#more && this.#underWay.size < concurrency) {
      this.#more = false
      const most = concurrency - this.#underWay.size
      const rows = await claimMails(this.#options.db, most).catch((error: unknown) =>
        this.#noteFailure(error),
      )
      if (!rows) return
      this.#failing = false
      if (rows.length === most) this.#more = true
      for (const row of rows) this.#begin(row)
    }
  }

  #begin(row: OutboxRow): void {
    const delivery = this.#deliver(row)
      // The mail is out of the lease's reach only for a while: it will be taken again.
      .catch((error: unknown) => void this.#noteFailure(error))
      .finally(() => {
        this.#underWay.delete(delivery)
        if (this.#more) this.wake()
      })
    this.#underWay.add(delivery)
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
    const seconds = Math.min(firstDelay * 2 ** (row.attempts - 1), longestDelay) * (0.75 + Math.random() / 2)
    const fields = { ...fieldsOf(row), reason, ...(known ? {} : { err: error }) }
    if (await postpone(db, row.id, { seconds, error: reason, giveUp })) {
      log.error({ event: 'mail_given_up', ...fields }, 'a mail could not be sent and is given up')
    } else {
      log.warn({ event: 'mail_delayed', ...fields }, 'a mail could not be sent; trying again later')
    }
  }

  /** Once for each outage of the database: the polls go on. */
  #noteFailure(error: unknown): undefined {
    if (!this.#failing)
      this.#options.log.warn({ err: error }, 'the mail outbox could not be read; trying again')
    this.#failing = true
  }
}

/** What the log is told of a mail: not its words, and not where it goes. */
function fieldsOf({ id, mail, kind, user_id, attempts }: OutboxRow) {
  return { mail_id: id, mail: mail ?? kind, user_id, attempts }
}
