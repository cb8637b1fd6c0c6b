import type { Db } from '../db/schema.ts'
import { OutboxWorker } from '../outbox/worker.ts'
import { claimDeliveries, type Delivery, enqueueEvents, finishDelivery, postpone } from './repository.ts'
import { NotAccepted, postEvent, type Receiver } from './sender.ts'

/** Concurrent deliveries of one process. */
const concurrency = 5

/** Before the first retry; four times as long after each attempt. */
const firstDelaySeconds = 4
const maxDelaySeconds = 3_600

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
export class WebhookWorker {
  readonly #options: WebhookWorkerOptions
  readonly #worker: OutboxWorker<Delivery>
  readonly #retries = new Set<NodeJS.Timeout>()

  constructor(options: WebhookWorkerOptions) {
    const { db, types, log, pollEvery = 5_000 } = options
    this.#options = options
    const onRestart = (err: unknown) =>
      log.warn(
        { event: 'webhook_restarted', err },
        'the place in the events was lost: all that are kept are delivered',
      )
    this.#worker = new OutboxWorker({
      claim: async (limit) => {
        await enqueueEvents(db, types, onRestart)
        return claimDeliveries(db, limit)
      },
      deliver: (row) => this.#deliver(row),
      onUnreadable: (err) => log.warn({ err }, 'the webhook outbox could not be read; trying again'),
      concurrency,
      pollEvery,
    })
  }

  start(): void {
    this.#worker.start()
  }

  /** Delivers what is new, now. */
  wake(): void {
    this.#worker.wake()
  }

  /** Resolves when nothing is due or in flight. */
  settled(): Promise<void> {
    return this.#worker.settled()
  }

  /** Waits for the deliveries in flight; the rest stays in the outbox. */
  async stop(timeoutMs: number): Promise<void> {
    for (const retry of this.#retries) clearTimeout(retry)
    await this.#worker.stop(timeoutMs)
  }

  async #deliver(row: Delivery): Promise<void> {
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
    const seconds =
      Math.min(firstDelaySeconds * 4 ** (row.attempts - 1), maxDelaySeconds) * (0.75 + Math.random() / 2)
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
