import type pg from 'pg'
import { Client, streamOf } from './client.ts'

/** Milliseconds without an answer after which what is under way seems to wait for something. */
const patience = 50

/** A connection that is made when first needed, and again after it broke. */
export interface PipelineOptions {
  readonly client: pg.ClientConfig
  readonly onIdleError: (error: Error) => void
  /** Called with each new connection, before any statement. */
  readonly onConnect: (client: pg.Client) => void
}

/**
 * One connection that many requests share: a statement is sent without waiting for the answer to the one before, and
 * what is asked for in one turn of the event loop goes out in one write. Each waits for those before it, so it is for
 * statements that wait for nobody; and no transaction can be had on it, since others' statements would be in it.
 */
export class Pipeline {
  readonly #options: PipelineOptions
  #connecting: Promise<pg.Client> | undefined
  #client: pg.Client | undefined
  #corked = false
  #closed = false
  #waiting = 0
  /** When it last gave an answer, or began to owe one. */
  #movedAt = 0
  /** Whether one of those that wait together took long: what follows may be of the same kind. */
  #isSlow = false
  /** Callbacks of the statements that have no answer yet, in the order in which they were sent. */
  readonly #onHeldUp = new Set<() => void>()
  #check: NodeJS.Timeout | undefined

  constructor(options: PipelineOptions) {
    this.#options = options
  }

  /** Statements that have no answer yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** Whether a statement is held up, and with it whatever comes behind it. */
  get isHeldUp(): boolean {
    return this.#waiting > 0 && (this.#isSlow || performance.now() - this.#movedAt > patience)
  }

  /** @param onHeldUp called once if a statement before this one holds it up */
  async query(text: string, values: readonly unknown[], onHeldUp?: () => void): Promise<pg.QueryResult> {
    if (this.#waiting++ === 0) this.#movedAt = performance.now()
    if (onHeldUp) {
      this.#onHeldUp.add(onHeldUp)
      this.#check ??= this.#scheduleCheck()
    }
    try {
      const client = this.#client ?? (await this.#connect())
      this.#gather(client)
      return await client.query(text, values as unknown[])
    } finally {
      const now = performance.now()
      if (onHeldUp) this.#onHeldUp.delete(onHeldUp)
      this.#waiting--
      this.#isSlow = this.#waiting > 0 && (this.#isSlow || now - this.#movedAt > patience)
      this.#movedAt = now
    }
  }

  /** Says goodbye, and hangs up where that is not heard within `goodbye` milliseconds. */
  async end(goodbye: number): Promise<void> {
    this.#closed = true
    const client = await this.#connecting?.catch(() => undefined)
    if (!client) return
    const cut = setTimeout(() => streamOf(client).destroy(), goodbye)
    await client.end().finally(() => clearTimeout(cut))
  }

  /** Checks once what has arrived is read: this process may have been late itself. */
  #scheduleCheck(): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => this.#checkProgress()), patience).unref()
  }

  #checkProgress(): void {
    this.#check = undefined
    if (this.isHeldUp) {
      const [first, ...behind] = this.#onHeldUp
      this.#onHeldUp.clear()
      // The one that is running has nobody before it.
      if (first) this.#onHeldUp.add(first)
      for (const callback of behind) callback()
    }
    if (this.#onHeldUp.size > 0) this.#check = this.#scheduleCheck()
  }

  /** One for all who need it meanwhile. */
  #connect(): Promise<pg.Client> {
    if (this.#closed) throw new Error('Connection terminated')
    this.#connecting ??= this.#open().catch((error) => {
      this.#connecting = undefined
      throw error
    })
    return this.#connecting
  }

  async #open(): Promise<pg.Client> {
    const { client: config, onIdleError, onConnect } = this.#options
    const client = new Client({ ...config, pipeline: true } as pg.ClientConfig)
    const forget = () => {
      if (this.#client !== client) return
      this.#client = undefined
      this.#connecting = undefined
    }
    client.on('end', forget).on('error', (error) => {
      forget()
      onIdleError(error)
    })
    await client.connect()
    onConnect(client)
    this.#client = client
    return client
  }

  /** Holds back what is written until the end of this turn. */
  #gather(client: pg.Client): void {
    if (this.#corked) return
    this.#corked = true
    const stream = streamOf(client)
    stream.cork()
    setImmediate(() => {
      this.#corked = false
      stream.uncork()
    })
  }
}

/** The one with the least to do; none where all are held up. */
export function freest(pipelines: readonly Pipeline[]): Pipeline | undefined {
  let best: Pipeline | undefined
  for (const pipeline of pipelines) {
    if (!pipeline.isHeldUp && !(best && best.waiting <= pipeline.waiting)) best = pipeline
  }
  return best
}
