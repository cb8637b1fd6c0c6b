import type { Listen } from '../db/listen.ts'
import type { Db } from '../db/schema.ts'
import { liveRevocations, parseAnnouncement, revocationChannel } from './revocation-repository.ts'
import type { Revocations } from './revocations.ts'

interface FeedOptions {
  readonly db: Db
  readonly revocations: Revocations
  /** Undefined with the embedded database: who revokes is this process, which applies it itself. */
  readonly listen: Listen | undefined
  readonly pollSeconds: number
  readonly onError: (error: unknown) => void
}

/** A poll looks back this much further than the last one: what commits late is younger than it looks. */
const overlapSeconds = 60

/**
 * Keeps the revocations in memory what they are in the database: all of them at the start and after every
 * reconnect, then each as it is announced, and polled for where a pooler passes no announcements. A poll is also
 * the heartbeat: while none succeeds, this process does not know.
 */
export class RevocationFeed {
  readonly #options: FeedOptions
  #timer: NodeJS.Timeout | undefined
  #stopListening: (() => Promise<void>) | undefined
  #failing = false
  /** What was announced on a lost connection has to be looked up: until then, polls load everything. */
  #complete = false
  /** Something was announced that could not be read, since the last reading began. */
  #unread = false
  #reading: Promise<void> | undefined

  constructor(options: FeedOptions) {
    this.#options = options
  }

  /** Resolves after the first load, whether it succeeded or will be tried again. */
  async start(): Promise<void> {
    const { listen, revocations, pollSeconds } = this.#options
    this.#stopListening = listen?.(revocationChannel, {
      onMessage: (payload) => {
        const revocation = parseAnnouncement(payload)
        if (revocation) revocations.apply([revocation])
        else this.#readAgain()
      },
      onConnect: () => {
        this.#complete = false
        void this.#load()
      },
    })
    await this.#load()
    const tick = async () => {
      revocations.sweep()
      await this.#load()
      if (this.#timer) this.#timer = setTimeout(tick, pollSeconds * 1000).unref()
    }
    this.#timer = setTimeout(tick, pollSeconds * 1000).unref()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#stopListening?.()
  }

  /** Reads everything, whatever was meant by what was announced; once at a time, however much of it comes. */
  #readAgain(): void {
    this.#complete = false
    this.#unread = true
    this.#reading ??= this.#readUnread().finally(() => {
      this.#reading = undefined
    })
  }

  async #readUnread(): Promise<void> {
    while (this.#unread) {
      this.#unread = false
      await this.#load()
    }
  }

  async #load(): Promise<void> {
    const { db, revocations, pollSeconds, onError } = this.#options
    const everything = !this.#complete || !revocations.current
    const asked = revocations.now
    try {
      this.#complete = true
      revocations.apply(await liveRevocations(db, everything ? undefined : pollSeconds + overlapSeconds))
      revocations.heard(asked)
      this.#failing = false
    } catch (error) {
      this.#complete = false
      // Once for each outage: the polls go on.
      if (!this.#failing) onError(error)
      this.#failing = true
    }
  }
}
