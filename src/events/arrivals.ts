import type { Listen } from '../db/listen.ts'
import type { Db } from '../db/schema.ts'
import { WaitingReaders } from '../feeds/waiting-readers.ts'
import { readEvents, start } from './repository.ts'

/** A trigger on the table notifies it. */
const channel = 'latchkey_events'

/** Between two checks, where the database cannot notify: behind a pooler. */
const pollEveryMs = 2_000

/** Notices that there are new events, from the first time that somebody asks. What they are is in the database. */
export class EventArrivals {
  /** Those that wait for an event. */
  readonly readers = new WaitingReaders()
  readonly #db: Db
  readonly #listen: Listen | undefined
  readonly #listeners: (() => void)[] = []
  #count = 0
  #stop: (() => Promise<void>) | undefined
  #stopped = false

  constructor(db: Db, listen: Listen | undefined) {
    this.#db = db
    this.#listen = listen
  }

  /** Grows with each arrival: a reader that saw it before its statement knows whether to read again. */
  get count(): number {
    return this.#count
  }

  /** Calls the listener after each arrival, and begins to listen. */
  observe(listener: () => void): void {
    this.#listeners.push(listener)
    this.begin()
  }

  begin(): void {
    if (this.#stop || this.#stopped) return
    const noted = () => this.#note()
    // What was sent before a connection is lost, so it counts as an arrival.
    this.#stop = this.#listen?.(channel, { onMessage: noted, onConnect: noted }) ?? this.#poll()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.readers.release()
    await this.#stop?.()
  }

  #note(): void {
    this.#count++
    this.readers.wake()
    for (const listener of this.#listeners) listener()
  }

  #poll(): () => Promise<void> {
    let since: string | undefined
    let polling = Promise.resolve()
    const check = async () => {
      if (this.readers.count === 0 && this.#listeners.length === 0) return
      const { events, snapshot } = await readEvents(this.#db, since === undefined ? start : { since }, 1)
      if (events.length > 0) this.#note()
      since = snapshot
    }
    const timer = setInterval(() => {
      polling = polling.then(check).catch(() => {
        // Readers notice by their own statements that the database is away.
        since = undefined
      })
    }, pollEveryMs).unref()
    return async () => {
      clearInterval(timer)
      await polling
    }
  }
}
