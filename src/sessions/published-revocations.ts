import type { Db } from '../db/schema.ts'
import { CursorInvalid, PositionLost } from '../feeds/position.ts'
import { Problem } from '../problem.ts'
import { type Cursor, decodeCursor, encodeCursor } from './revocation-cursor.ts'
import type { RevocationLog } from './revocation-log.ts'
import { readRevocations } from './revocation-pages.ts'
import type { Revocation, Revocations } from './revocations.ts'

interface PublishOptions {
  readonly db: Db
  readonly revocations: Revocations
  readonly log: RevocationLog
  /** pg_snapshot whose rows have all been applied; undefined while that is not known. */
  readonly position: () => string | undefined
}

interface Answer {
  readonly cursor: string
  readonly revocations: readonly Revocation[]
  /** Whether there are further pages now. */
  readonly more: boolean
}

/** Entries of one answer. */
const pageEntries = 2_000

/** Readers that wait at a time. */
const maxWaiting = 1_000

/**
 * The revocations for readers outside. A reader continues in this process's log, without a query; one that starts, that
 * comes from another instance for the first time or is far behind reads the database.
 */
export class PublishedRevocations {
  readonly #options: PublishOptions

  constructor(options: PublishOptions) {
    this.#options = options
  }

  /** Readers that wait now. */
  get waiting(): number {
    return this.#options.log.readers.count
  }

  /**
   * What a reader has not got, at least once.
   * @param after its cursor; undefined for everything that can still refuse a token
   * @param waitMs for which a reader with a cursor is held while there is nothing new
   * @param signal aborts when the reader has gone
   * @throws CursorInvalid
   * @throws Problem service_unavailable when the revocations are unknown, or too many readers wait
   */
  async next(after: string | undefined, waitMs: number, signal: AbortSignal): Promise<Answer> {
    const { log } = this.#options
    const cursor = after === undefined ? { position: {}, logs: [] } : decodeCursor(after)
    if (!cursor) throw new CursorInvalid('not a cursor')
    this.#assertKnown()
    const { end } = log
    const read = await this.#read(cursor)
    let answer = read
    // The first answer is at once: it tells the reader that it knows everything.
    if (after !== undefined && read.revocations.length === 0 && !read.more && waitMs > 0) {
      if (log.readers.count >= maxWaiting)
        throw new Problem('service_unavailable', { reason: 'too_many_readers' })
      // Not where something was logged during the read.
      if (log.end === end) await log.readers.wait(waitMs, signal)
      answer = await this.#read(read.cursor)
    }
    // Nothing new is no news where the database cannot be read.
    this.#assertKnown()
    return { ...answer, cursor: encodeCursor(answer.cursor) }
  }

  #assertKnown(): void {
    if (this.#options.revocations.current) return
    throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
  }

  async #read(cursor: Cursor): Promise<Omit<Answer, 'cursor'> & { cursor: Cursor }> {
    const { log } = this.#options
    const [, index] = cursor.logs.find(([id]) => id === log.id) ?? []
    const known = index === undefined ? undefined : log.from(index, pageEntries)
    return index === undefined || known === undefined
      ? this.#readDatabase(cursor)
      : this.#continue(cursor, index, known)
  }

  #continue(cursor: Cursor, index: number, revocations: readonly Revocation[]) {
    const { log, position } = this.#options
    const next = index + revocations.length
    const more = next < log.end
    // Only what has been delivered to the end covers the position.
    const reached = more ? cursor.position : positionOf(position())
    return { revocations, more, cursor: { position: reached, logs: this.#withLog(cursor, next) } }
  }

  async #readDatabase(cursor: Cursor) {
    const { db, log } = this.#options
    // Before the statement: what is in the log by now has committed, so the statement sees it.
    const { end } = log
    const isStart = cursor.position.since === undefined || cursor.position.page !== undefined
    try {
      const { revocations, position } = await readRevocations(db, cursor.position, pageEntries)
      const more = position.page !== undefined
      // The snapshot of a pass is that of its first page: what was logged since then may be missing from it.
      const logs = isStart || more ? cursor.logs.filter(([id]) => id !== log.id) : this.#withLog(cursor, end)
      return { revocations, more, cursor: { position, logs } }
    } catch (error) {
      throw error instanceof PositionLost ? new CursorInvalid('of another database', { cause: error }) : error
    }
  }

  #withLog({ logs }: Cursor, index: number): Cursor['logs'] {
    const { id } = this.#options.log
    return [[id, index], ...logs.filter(([other]) => other !== id)]
  }
}

function positionOf(since: string | undefined) {
  return since === undefined ? {} : { since }
}
