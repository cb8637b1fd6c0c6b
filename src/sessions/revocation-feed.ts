import type { Listen } from '../db/listen.ts'
import type { Db } from '../db/schema.ts'
import { type Position, PositionLost } from '../feeds/position.ts'
import { readRevocations } from './revocation-pages.ts'
import { parseAnnouncement, revocationChannel } from './revocation-row.ts'
import type { Revocations } from './revocations.ts'

interface FeedOptions {
  readonly db: Db
  readonly revocations: Revocations
  /** Undefined with the embedded database, whose only process applies its own revocations. */
  readonly listen: Listen | undefined
  readonly pollSeconds: number
  readonly onError: (error: unknown) => void
}

/** How often reading everything is interrupted to read what is new. */
const newestEveryMs = 1_000

/** A sweep visits every entry. */
const sweepEveryMs = 30_000

/**
 * Replicates the database's revocations into memory: all of them at the start, then each notification, and by polling
 * what has committed since, whether it was notified or not. The poll is also the heartbeat: while none succeeds, the
 * revocations count as unknown.
 *
 * After a reconnect everything is read again, since a replica that lags behind may have taken over; new rows are read
 * first, and no request waits for the rest.
 */
export class RevocationFeed {
  readonly #options: FeedOptions
  #timer: NodeJS.Timeout | undefined
  #stopListening: (() => Promise<void>) | undefined
  #failing = false
  /** Undefined until everything has been read. */
  #read: Position | undefined
  /** Progress of reading everything, which resumes there after a failed page. */
  #all: Position = {}
  #mustReadAll = true
  #hasReadAll = false
  /** Another read was requested since the last one began. */
  #wanted = false
  #reading: Promise<void> | undefined
  #sweptAt = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** pg_snapshot whose rows have all been applied; undefined until everything has been read, or is to be read again. */
  get position(): string | undefined {
    return this.#hasReadAll ? this.#read?.since : undefined
  }

  /** Resolves after the first load, whether it succeeded or will be retried. */
  async start(): Promise<void> {
    const { listen, revocations, pollSeconds } = this.#options
    let connects = 0
    this.#stopListening = listen?.(revocationChannel, {
      onMessage: (payload) => {
        const revocation = parseAnnouncement(payload)
        if (revocation) revocations.apply([revocation])
        else void this.#load()
      },
      onConnect: () => {
        if (connects++ > 0) this.#readAllAgain()
        void this.#load()
      },
    })
    await this.#load()
    const tick = async () => {
      this.#sweep()
      await this.#load()
      if (this.#timer) this.#timer = setTimeout(tick, pollSeconds * 1000).unref()
    }
    this.#timer = setTimeout(tick, pollSeconds * 1000).unref()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#stopListening?.()
  }

  #sweep(): void {
    const { revocations } = this.#options
    if (revocations.checkClock()) {
      this.#read = undefined
      this.#readAllAgain()
    }
    if (revocations.now - this.#sweptAt < sweepEveryMs) return
    this.#sweptAt = revocations.now
    revocations.sweep()
  }

  #readAllAgain(): void {
    this.#all = {}
    this.#mustReadAll = true
    this.#hasReadAll = false
  }

  /** One read at a time; requests in the meantime share the next one. */
  #load(): Promise<void> {
    this.#wanted = true
    this.#reading ??= this.#readWanted().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #readWanted(): Promise<void> {
    while (this.#wanted) {
      this.#wanted = false
      try {
        await this.#readNewest()
        if (this.#mustReadAll) await this.#readAll()
        this.#failing = false
      } catch (error) {
        this.#mustReadAll = true
        this.#hasReadAll = false
        // Once per outage: polling goes on.
        if (!this.#failing && !this.#stopped) this.#options.onError(error)
        this.#failing = true
        return
      }
    }
  }

  /** Reads what has committed since the last read. Many pages take time, so it repeats until there is only one. */
  async #readNewest(): Promise<void> {
    const { db, revocations } = this.#options
    try {
      for (let pages = Number.POSITIVE_INFINITY; this.#read && pages > 1; ) {
        const asked = revocations.now
        pages = 0
        do {
          const page = await readRevocations(db, this.#read)
          revocations.apply(page.revocations)
          this.#read = page.position
          pages++
        } while (this.#read.page)
        revocations.heard(asked)
      }
    } catch (error) {
      if (!(error instanceof PositionLost)) throw error
      revocations.forgetRevisions()
      this.#read = undefined
      this.#readAllAgain()
    }
  }

  async #readAll(): Promise<void> {
    const { db, revocations } = this.#options
    this.#mustReadAll = false
    let newest = revocations.now
    let all = this.#all
    do {
      const page = await readRevocations(db, all)
      revocations.apply(page.revocations)
      all = page.position
      if (revocations.now - newest >= newestEveryMs) {
        newest = revocations.now
        await this.#readNewest()
      }
      if (this.#stopped) return
      // Since a reconnect, it may be another server.
      if (this.#mustReadAll) return this.#readAll()
      this.#all = all.page ? all : {}
    } while (all.page)
    this.#read = all
    this.#hasReadAll = true
    await this.#readNewest()
  }
}
