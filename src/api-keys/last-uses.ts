import type { SecurityLog } from '../audit.ts'
import type { Db } from '../db/schema.ts'
import { setLastUses } from './without-owner.ts'

/** From the first use, so that `last_used_at` is less than a minute late. */
const flushAfterMs = 55_000

/** Past it they are written at once: one statement stays within its timeout. */
const maxPending = 5_000

/** When keys were last used, written for all keys of the instance together: a request pays no write. */
export class LastUses {
  readonly #db: Db
  readonly #log: Pick<SecurityLog, 'warn'>
  #pending = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(db: Db, log: Pick<SecurityLog, 'warn'>) {
    this.#db = db
    this.#log = log
  }

  /** @param at seconds since the epoch */
  note(keyId: string, at: number): void {
    this.#pending.set(keyId, at)
    if (this.#pending.size >= maxPending) void this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), flushAfterMs).unref()
  }

  /** On failure they are lost: the next use of each key is written again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const uses = this.#pending
    this.#pending = new Map()
    if (uses.size === 0) return
    try {
      await setLastUses(this.#db, uses)
    } catch (err) {
      this.#log.warn({ err, lost: uses.size }, 'the last uses of API keys could not be stored')
    }
  }
}
