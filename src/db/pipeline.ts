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

  constructor(options: PipelineOptions) {
    this.#options = options
  }

  /** Statements that have no answer yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** Whether a statement is held up, and with it whatever comes behind it. */
  get isHeldUp(): boolean {
    return this.#waiting > 0 && performance.now() - this.#movedAt > patience
  }

  async query(text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    if (this.#waiting++ === 0) this.#movedAt = performance.now()
    try {
      const client = this.#client ?? (await this.#connect())
      this.#gather(client)
      return await client.query(text, values as unknown[])
    } finally {
      this.#waiting--
      this.#movedAt = performance.now()
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
