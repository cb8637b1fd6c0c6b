import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { databaseReason, isDatabaseAway } from '../src/db/errors.ts'
import type { Db } from '../src/db/schema.ts'
import { Problem } from '../src/problem.ts'
import { healthOf } from './health.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly db: Db
    /**
     * Does what reads the database once before requests are served: before the app is ready, or later, where the
     * database is away at the start.
     */
    onceDatabaseIsThere(work: () => Promise<void>): void
    /**
     * Does that work, where `listenFirst` has left it to the caller. Resolves when requests are served.
     * @param onDelay called when that is put off, since the database is away
     * @throws what waiting does not mend
     */
    startWork(onDelay?: () => void): Promise<void>
  }
}

interface DatabaseOptions {
  readonly db: Db
  /** Brings the schema to what this code needs, until the signal aborts. Without it, it is that already. */
  readonly prepare?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Gets ready without the work, which the caller begins when the process listens: a migration may take its time. */
  readonly listenFirst?: boolean | undefined
}

/** Milliseconds between two tries. */
const firstDelay = 100
const longestDelay = 2_000

/** Milliseconds that a stop waits for the work to give up. */
const longestAbort = 4_000

/**
 * `app.db`: the database, closed with the app. An app starts without it: it is alive, answers 503 to everything else,
 * and gets ready when the database is there.
 */
export default fp<DatabaseOptions>(
  async (app, { db, prepare, listenFirst = false }) => {
    const closing = new AbortController()
    const works = prepare ? [() => prepare(closing.signal)] : []
    let waiting = true
    /** What is in flight of the work, which never rejects. */
    let working = Promise.resolve()

    app.decorate('db', db)
    app.decorate('onceDatabaseIsThere', (work: () => Promise<void>) => {
      works.push(work)
    })

    /** Goes on where it failed the last time. */
    async function work(): Promise<void> {
      for (let next = works[0]; next; next = works[0]) {
        closing.signal.throwIfAborted()
        const step = next()
        working = step.catch(() => {})
        await step
        works.shift()
      }
      waiting = false
    }

    async function keepTrying(): Promise<void> {
      for (let pause = firstDelay; waiting; pause = Math.min(pause * 2, longestDelay)) {
        await delay(pause, undefined, { signal: closing.signal })
        await work().catch((error: unknown) => {
          if (!isDatabaseAway(error)) throw error
        })
      }
      app.log.info('the database is there')
    }

    /** @returns whether all is done, and not what goes on to be tried */
    async function tryOnce(): Promise<boolean> {
      try {
        await work()
        return true
      } catch (err) {
        if (!isDatabaseAway(err)) throw err
        const reason = databaseReason(err)
        const isAway = reason === 'database'
        app.log.warn(
          { err },
          isAway
            ? 'the database is away: requests get 503 until it is there'
            : `${reason}; requests get 503 meanwhile`,
        )
        return false
      }
    }

    app.decorate('startWork', async (onDelay?: () => void) => {
      if (await tryOnce()) return
      onDelay?.()
      await keepTrying()
    })
    app.addHook('onReady', async () => {
      if (listenFirst || (await tryOnce())) return
      keepTrying().catch((error: unknown) => {
        if (closing.signal.aborted) return
        // What cannot be mended by waiting ends the process, as it would have at the start.
        process.nextTick(() => {
          throw error
        })
      })
    })
    app.addHook('onRequest', async (request) => {
      if (!waiting || healthOf(request) === 'live') return
      throw new Problem('service_unavailable', { reason: 'starting' })
    })
    // Before what the work has begun is stopped.
    app.addHook('preClose', async () => {
      closing.abort()
      await Promise.race([working, delay(longestAbort, undefined, { ref: false })])
    })
    app.addHook('onClose', async () => {
      await db.destroy()
    })
  },
  { name: 'latchkey-database', fastify: '5.x' },
)
