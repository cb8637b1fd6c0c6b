import type { Listen } from '../db/listen.ts'
import type { Db } from '../db/schema.ts'
import { type Position, PositionLost, readRevocations } from './revocation-pages.ts'
import { parseAnnouncement, revocationChannel } from './revocation-repository.ts'
import type { Revocations } from './revocations.ts'

interface FeedOptions {
  readonly db: Db
  readonly revocations: Revocations
  /** Undefined with the embedded database: who revokes is this process, which applies it itself. */
  readonly listen: Listen | undefined
  readonly pollSeconds: number
  readonly onError: (error: unknown) => void
}

/** Milliseconds after which reading everything stops to read what is new. */
const newestEveryMs = 1_000

/** Milliseconds between two sweeps: each looks at every entry. */
const sweepEveryMs = 30_000

/**
 * Keeps the revocations in memory what they are in the database: all of them from the start, then each as it is
 * announced, and what has committed since the last poll, whatever was announced. A poll is also the heartbeat: while
 * none succeeds, this process does not know.
 *
 * After an outage and a reconnect everything is read again, since another server may answer now, one that is behind
 * the old one; what is new is read first, and no request waits for the rest.
 */
export class RevocationFeed {
  readonly #options: FeedOptions
  #timer: NodeJS.Timeout | undefined
  #stopListening: (() => Promise<void>) | undefined
  #failing = false
  /** What has been read; undefined until everything has been. */
  #read: Position | undefined
  /** How far reading everything has come. It goes on there after a page that failed. */
  #all: Position = {}
  #mustReadAll = true
  /** Another reading was asked for since the last one began. */
  #wanted = false
  #reading: Promise<void> | undefined
  #sweptAt = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Resolves after the first load, whether it succeeded or will be tried again. */
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
  }

  /** One reading at a time, and one more for all who ask meanwhile. */
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
        // Once for each outage: the polls go on.
        if (!this.#failing && !this.#stopped) this.#options.onError(error)
        this.#failing = true
        return
      }
    }
  }

  /** Reads what has committed since the last time. Many pages take time, so what they brought up is not the newest. */
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
      // It may be another server since a reconnect.
      if (this.#mustReadAll) return this.#readAll()
      this.#all = all.page ? all : {}
    } while (all.page)
    this.#read = all
    await this.#readNewest()
  }
}
