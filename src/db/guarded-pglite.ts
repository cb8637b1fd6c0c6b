import { PGlite, type PGliteOptions, type Transaction } from '@electric-sql/pglite'
import { EmbeddedDatabaseFailed } from './errors.ts'

/** Bytes of a WAL segment: small, since the disk must always have room for the next one. */
const segment = 2 ** 20

/** Bytes that must be free for writes: PostgreSQL panics without room for the next WAL segment. */
export const headroom = 8 * segment

export const noRoom = `less than ${headroom / segment} MiB are free`

/** PGlite has no checkpointer process: without checkpoints the WAL only grows. */
const checkpointIntervalMs = 300_000

/** The disk is nearly full: the embedded database is read-only. */
export class NoRoomLeft extends Error {
  override name = 'NoRoomLeft'
  constructor() {
    super(`${noRoom} for the embedded database: it only reads`)
  }
}

export interface GuardOptions extends PGliteOptions {
  /** Default: unbounded. */
  readonly freeBytes?: () => number
  /** Called with {@link NoRoomLeft}, {@link EmbeddedDatabaseFailed}, and errors of checkpoints. */
  readonly onTrouble?: (error: Error) => void
}

/**
 * PGlite that survives a full disk: it turns read-only before the disk is full. After a PANIC, which ends a server's
 * process, PGlite would loop for ever on the next message and block the event loop, so it gets none.
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
    this.#timer = setInterval(() => this.#checkpoint(), checkpointIntervalMs).unref()
  }

  override async query<T>(...args: Parameters<PGlite['query']>) {
    await this.#checkFreeSpace()
    return super.query<T>(...args)
  }

  override async transaction<T>(work: (trx: Transaction) => Promise<T>): Promise<T> {
    let begun = false
    try {
      await this.#checkFreeSpace()
      return await super.transaction((trx) => {
        begun = true
        return work(trx)
      })
    } catch (error) {
      // Kysely would wait for ever for the transaction to begin: fail its first statement instead.
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

  /** Sends nothing to a database that has failed. */
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

  async #checkFreeSpace(): Promise<void> {
    const full = this.#freeBytes() < headroom
    if (full === this.#readOnly) return
    this.#readOnly = full
    if (full) this.#onTrouble(new NoRoomLeft())
    await this.exec(`set default_transaction_read_only = ${full}`)
  }

  /** Never rejects. Skipped on a full disk, where it would cause the PANIC. */
  async #checkpoint(): Promise<void> {
    if (this.#failure || this.#freeBytes() < headroom / 2) return
    await this.exec('checkpoint').catch((error) => {
      if (!this.#failure) this.#onTrouble(error)
    })
  }
}
