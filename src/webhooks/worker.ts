import type { Db } from '../db/schema.ts'
import { type Backoff, retryDelay } from '../outbox/retry-delay.ts'
import { OutboxWorker } from '../outbox/worker.ts'
import { claimDeliveries, type Delivery, enqueueEvents, finishDelivery, postpone } from './repository.ts'
import { NotAccepted, postEvent, type Receiver } from './sender.ts'

const backoff: Backoff = { firstSeconds: 4, factor: 4, maxSeconds: 3_600 }

/** The part of a pino logger that the worker needs. */
export interface WebhookLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface WebhookWorkerOptions {
  readonly db: Db
  readonly receiver: Receiver
  /** Undefined: all. */
  readonly types: ReadonlySet<string> | undefined
  readonly log: WebhookLog
  /** Milliseconds; new events wake the worker besides. */
  readonly pollEvery?: number
}

/** Delivers events to the receiver, at least once each, in any number of processes. */
export class WebhookWorker extends OutboxWorker<Delivery> {
  readonly #options: WebhookWorkerOptions
  readonly #retries = new Set<NodeJS.Timeout>()

  constructor(options: WebhookWorkerOptions) {
    super(options.pollEvery)
    this.#options = options
  }

  override async stop(timeoutMs: number): Promise<void> {
    for (const retry of this.#retries) clearTimeout(retry)
    await super.stop(timeoutMs)
  }

  /** Makes deliveries of new events first. */
  protected override async claim(limit: number): Promise<Delivery[]> {
    const { db, types, log } = this.#options
    await enqueueEvents(db, types, (err) =>
      log.warn(
        { event: 'webhook_restarted', err },
        'the place in the events was lost: all that are kept are delivered',
      ),
    )
    return claimDeliveries(db, limit)
  }

  protected override noteUnreadable(err: unknown): void {
    this.#options.log.warn({ err }, 'the webhook outbox could not be read; trying again')
  }

  protected override async deliver(row: Delivery): Promise<void> {
    const { db, receiver, log } = this.#options
    const { event_id: id, type, at, user_id } = row
    try {
      await postEvent(receiver, id, JSON.stringify({ id, type, at, user_id }))
    } catch (error) {
      return this.#putOff(row, error)
    }
    await finishDelivery(db, row.id)
    log.debug({ event: 'webhook_delivered', ...fieldsOf(row) }, 'event delivered')
  }

  async #putOff(row: Delivery, error: unknown): Promise<void> {
    const { db, log } = this.#options
    if (!(error instanceof NotAccepted)) throw error
    const reason = error.message
    const seconds = retryDelay(backoff, row.attempts)
    const fields = { ...fieldsOf(row), reason }
    if (await postpone(db, row.id, seconds, reason)) {
      log.error({ event: 'webhook_given_up', ...fields }, 'an event could not be delivered and is given up')
      return
    }
    log.warn({ event: 'webhook_delayed', ...fields }, 'an event could not be delivered; trying again later')
    // Not only at the next poll.
    const retry = setTimeout(
      () => {
        this.#retries.delete(retry)
        this.wake()
      },
      seconds * 1000 + 20,
    ).unref()
    this.#retries.add(retry)
  }
}

/** Neither the URL nor what was answered. */
function fieldsOf({ event_id, type, user_id, attempts }: Delivery) {
  return { event_id, type, user_id, attempts }
}
