import type { Db } from '../db/schema.ts'
import { decodeCursor, encodeCursor } from '../feeds/cursor-text.ts'
import { CursorInvalid, type Position, PositionLost } from '../feeds/position.ts'
import { Problem } from '../problem.ts'
import type { EventArrivals } from './arrivals.ts'
import type { PublishedEvent } from './event.ts'
import type { EventType } from './event-types.ts'
import { PositionExpired, readEvents, start } from './repository.ts'

interface Question {
  /** Cursor of an earlier answer; undefined: from the oldest event on. */
  readonly after: string | undefined
  /** Undefined: all. */
  readonly types: ReadonlySet<EventType> | undefined
  readonly limit: number
  readonly waitMs: number
}

interface Answer {
  readonly cursor: string
  readonly events: readonly PublishedEvent[]
  /** Whether there may be further events now. */
  readonly more: boolean
}

/** Readers that wait at a time. */
const maxWaiting = 200

/** Events read at a time for a reader that wants some types only, and how often for one request. */
const searchedAtOnce = 500
const maxSearches = 10

/** The events for readers outside, from the database: any instance answers any cursor. */
export class PublishedEvents {
  readonly #db: Db
  readonly #arrivals: EventArrivals

  constructor(db: Db, arrivals: EventArrivals) {
    this.#db = db
    this.#arrivals = arrivals
  }

  /**
   * What a reader has not got, at least once.
   * @param signal aborts when the reader has gone
   * @throws CursorInvalid
   * @throws Problem cursor_expired, or service_unavailable when too many readers wait
   */
  async next({ after, types, limit, waitMs }: Question, signal: AbortSignal): Promise<Answer> {
    let position = after === undefined ? start : positionOf(after)
    const { readers } = this.#arrivals
    const waitUntil = performance.now() + waitMs
    if (waitMs > 0) this.#arrivals.begin()
    for (;;) {
      const { count } = this.#arrivals
      const read = await this.#read(position, types, limit)
      const leftMs = waitUntil - performance.now()
      if (read.events.length > 0 || read.more || leftMs <= 0 || signal.aborted || readers.released)
        return { ...read, cursor: encodeCursor(read.position, 0) }
      if (readers.count >= maxWaiting)
        throw new Problem('service_unavailable', { reason: 'too_many_readers' })
      position = read.position
      // Not where something arrived during the read.
      if (this.#arrivals.count === count) await readers.wait(leftMs, signal)
    }
  }

  async #read(from: Position, types: Question['types'], limit: number) {
    if (!types) {
      const page = await this.#page(from, limit)
      return { ...page, events: page.events.map(({ event }) => event) }
    }
    const found: PublishedEvent[] = []
    let position = from
    for (let search = 0; search < maxSearches; search++) {
      const page = await this.#page(position, searchedAtOnce)
      for (const { event, after } of page.events) {
        if (!types.has(event.type as EventType)) continue
        found.push(event)
        if (found.length === limit) return { events: found, position: after, more: true }
      }
      position = page.position
      if (!page.more) return { events: found, position, more: false }
    }
    return { events: found, position, more: true }
  }

  async #page(position: Position, limit: number) {
    const page = await readEvents(this.#db, position, limit).catch((cause: unknown) => {
      if (cause instanceof PositionLost) throw new CursorInvalid('of another database', { cause })
      throw cause instanceof PositionExpired ? new Problem('cursor_expired', { cause }) : cause
    })
    return { ...page, more: page.position.page !== undefined }
  }
}

/** @throws CursorInvalid */
function positionOf(text: string): Position {
  const cursor = decodeCursor(text)
  if (cursor?.position.since === undefined || cursor.rest !== 0) throw new CursorInvalid('not a cursor')
  return cursor.position
}
