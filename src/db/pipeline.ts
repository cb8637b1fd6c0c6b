import type pg from 'pg'
import { Client, streamOf } from './client.ts'

/** Milliseconds without a result after which the statement in flight counts as blocked. */
const stalledAfterMs = 50

/** Of a connection that is opened on first use, and again after it broke. */
export interface PipelineOptions {
  readonly client: pg.ClientConfig
  readonly onIdleError: (error: Error) => void
  /** Called with each new connection, before any statement. */
  readonly onConnect: (client: pg.Client) => void
}

/**
 * A connection that many requests share by pipelining: a statement is sent before the previous result has arrived, and
 * all statements of one turn of the event loop go out in one write. Results come in order, so a blocked statement
 * blocks those behind it (head-of-line blocking). Never for transactions: statements of others would be part of them.
 */
export class Pipeline {
  readonly #options: PipelineOptions
  #connecting: Promise<pg.Client> | undefined
  #client: pg.Client | undefined
  #corked = false
  #closed = false
  #waiting = 0
  /** Time of the last result, or of the first statement after an idle time. */
  #movedAt = 0
  /** Whether a statement of the current run took long: those behind it may, too. */
  #isSlow = false
  /**
   * Of the statements in flight, in order. An array: V8's outgrown tables of a Set that changes with each statement keep
   * the objects of past statements alive until a full garbage collection, and each small one has to copy them.
   */
  readonly #onHeldUp: (() => void)[] = []
  #check: NodeJS.Timeout | undefined

  constructor(options: PipelineOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#client !== undefined
  }

  /** Statements in flight. */
  get waiting(): number {
    return this.#waiting
  }

  /** Whether a statement is blocked, and with it all behind it. */
  get isHeldUp(): boolean {
    return this.#waiting > 0 && (this.#isSlow || performance.now() - this.#movedAt > stalledAfterMs)
  }

  /** @param onHeldUp called once if an earlier statement blocks this one */
  async query(text: string, values: readonly unknown[], onHeldUp?: () => void): Promise<pg.QueryResult> {
    if (this.#waiting++ === 0) this.#movedAt = performance.now()
    if (onHeldUp) {
      this.#onHeldUp.push(onHeldUp)
      this.#check ??= this.#scheduleCheck()
    }
    try {
      const client = this.#client ?? (await this.#connect())
      this.#gather(client)
      return await client.query(text, values as unknown[])
    } finally {
      const now = performance.now()
      if (onHeldUp) this.#forget(onHeldUp)
      this.#waiting--
      this.#isSlow = this.#waiting > 0 && (this.#isSlow || now - this.#movedAt > stalledAfterMs)
      this.#movedAt = now
    }
  }

  /** Closes the connection, and destroys its socket if that takes longer. */
  async end(timeoutMs: number): Promise<void> {
    this.#closed = true
    const client = await this.#connecting?.catch(() => undefined)
    if (!client) return
    const cut = setTimeout(() => streamOf(client).destroy(), timeoutMs)
    await client.end().finally(() => clearTimeout(cut))
  }

  /** By setImmediate, so that results that have already arrived are read first. */
  #scheduleCheck(): NodeJS.Timeout {
    return setTimeout(() => setImmediate(() => this.#checkProgress()), stalledAfterMs).unref()
  }

  #checkProgress(): void {
    this.#check = undefined
    if (this.isHeldUp) {
      // The first one is running.
      const behind = this.#onHeldUp.splice(1)
      for (const callback of behind) callback()
    }
    if (this.#onHeldUp.length > 0) this.#check = this.#scheduleCheck()
  }

  /** Results come in order, so it is the first one unless that was called. */
  #forget(onHeldUp: () => void): void {
    const at = this.#onHeldUp.indexOf(onHeldUp)
    if (at >= 0) this.#onHeldUp.splice(at, 1)
  }

  /** Single-flight. */
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

  /** Corks the socket until the end of this turn of the event loop. */
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

/** The pipeline with the fewest statements in flight; undefined when all are blocked. */
export function freest(pipelines: readonly Pipeline[]): Pipeline | undefined {
  let best: Pipeline | undefined
  for (const pipeline of pipelines) {
    if (!pipeline.isHeldUp && !(best && best.waiting <= pipeline.waiting)) best = pipeline
  }
  return best
}
