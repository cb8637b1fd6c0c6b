import { PGlite, type PGliteOptions, type Transaction } from '@electric-sql/pglite'
import { EmbeddedDatabaseFailed } from './errors.ts'

/** Bytes of a segment of its log: smaller than usual, since the next one is what the disk must always have room for. */
const segment = 2 ** 20

/** Bytes that must be free for it to write: without room for the next segment it fails altogether. */
export const headroom = 8 * segment

export const noRoom = `less than ${headroom / segment} MiB are free`

/** Milliseconds between two checkpoints, without which the log only grows: this is a server with nothing beside it. */
const checkpointInterval = 300_000

/** The disk is nearly full: the embedded database reads, and refuses to write. */
export class NoRoomLeft extends Error {
  override name = 'NoRoomLeft'
  constructor() {
    super(`${noRoom} for the embedded database: it only reads`)
  }
}

export interface GuardOptions extends PGliteOptions {
  /** Unbounded unless it says. */
  readonly freeBytes?: () => number
  /** Told of a {@link NoRoomLeft} when it begins, and of the {@link EmbeddedDatabaseFailed}. */
  readonly onTrouble?: (error: Error) => void
}

/**
 * PGlite that survives a full disk. Before there is no room, it only reads. And what PostgreSQL calls a panic, which
 * ends a server's process, leaves PGlite turning for ever on the next message, with the thread that everything runs
 * on: so then there is no next message.
 */
export class GuardedPGlite extends PGlite {
  readonly #freeBytes: () => number
  readonly #onTrouble: (error: Error) => void
  readonly #timer: NodeJS.Timeout
  #readOnly = false
  #failure: EmbeddedDatabaseFailed | undefined

  constructor({ freeBytes = () => Infinity, onTrouble = () => {}, ...options }: GuardOptions) {
    super({ ...options, initDbStartParams: ['--wal-segsize=1'] })
    this.#freeBytes = freeBytes
    this.#onTrouble = onTrouble
    this.#timer = setInterval(() => this.#checkpoint(), checkpointInterval).unref()
  }

  override async query<T>(...args: Parameters<PGlite['query']>) {
    await this.#lookForRoom()
    return super.query<T>(...args)
  }

  override async transaction<T>(work: (trx: Transaction) => Promise<T>): Promise<T> {
    let begun = false
    try {
      await this.#lookForRoom()
      return await super.transaction((trx) => {
        begun = true
        return work(trx)
      })
    } catch (error) {
      // Kysely waits for its transaction to begin, and for good if it never does: its first statement fails instead.
      if (!begun) return work({ query: () => Promise.reject(error) } as unknown as Transaction)
      throw error
    }
  }

  override async execProtocolStream(
    ...args: Parameters<PGlite['execProtocolStream']>
  ): ReturnType<PGlite['execProtocolStream']> {
    if (this.#failure) throw this.#failure
    try {
      return await super.execProtocolStream(...args)
    } catch (error) {
      throw this.#judge(error as Error)
    }
  }

  /** Without a word to a database that has failed. */
  override async close(): Promise<void> {
    clearInterval(this.#timer)
    if (!this.#failure) await super.close()
  }

  #judge(error: Error & { severity?: string }): Error {
    if (error.severity !== 'PANIC' && error.severity !== 'FATAL') return error
    this.#failure = new EmbeddedDatabaseFailed(`the embedded database has failed: ${error.message}`)
    this.#onTrouble(this.#failure)
    return this.#failure
  }

  async #lookForRoom(): Promise<void> {
    const full = this.#freeBytes() < headroom
    if (full === this.#readOnly) return
    this.#readOnly = full
    if (full) this.#onTrouble(new NoRoomLeft())
    await this.exec(`set default_transaction_read_only = ${full}`)
  }

  /** Never rejects. On a disk that is full to the end, it would be what fails. */
  async #checkpoint(): Promise<void> {
    if (this.#failure || this.#freeBytes() < headroom / 2) return
    await this.exec('checkpoint').catch((error) => {
      if (!this.#failure) this.#onTrouble(error)
    })
  }
}
