import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { databaseReason, isDatabaseAway } from '../src/db/errors.ts'
import type { Db } from '../src/db/schema.ts'
import { Problem } from '../src/problem.ts'
import { healthOf } from './health.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly db: Db
    /** Runs work once before requests are served: before the app is ready, or once the database is available. */
    onceDatabaseIsThere(work: () => Promise<void>): void
    /**
     * Runs that work, with `listenFirst`. Resolves when requests are served.
     * @param onDelay called when the database is unavailable and the work will be retried
     * @throws errors that no retry changes
     */
    startWork(onDelay?: () => void): Promise<void>
  }
}

interface DatabaseOptions {
  readonly db: Db
  /** Migrates the schema, until the signal aborts. */
  readonly prepare?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Leaves the work to `startWork()`, so that the process listens during a long migration. */
  readonly listenFirst?: boolean | undefined
}

/** Between two attempts. */
const firstDelayMs = 100
const maxDelayMs = 2_000

/** How long closing waits for the work to abort. */
const abortTimeoutMs = 4_000

/** The database, closed with the app. While it is unavailable at the start, the app is alive and answers 503. */
export default fp<DatabaseOptions>(
  async (app, { db, prepare, listenFirst = false }) => {
    const closing = new AbortController()
    const works = prepare ? [() => prepare(closing.signal)] : []
    let waiting = true
    /** The step in flight; never rejects. */
    let working = Promise.resolve()

    app.decorate('db', db)
    app.decorate('onceDatabaseIsThere', (work: () => Promise<void>) => {
      works.push(work)
    })

    /** Resumes at the step that failed. */
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
      for (let pauseMs = firstDelayMs; waiting; pauseMs = Math.min(pauseMs * 2, maxDelayMs)) {
        await delay(pauseMs, undefined, { signal: closing.signal })
        await work().catch((error: unknown) => {
          if (!isDatabaseAway(error)) throw error
        })
      }
      app.log.info('the database is there')
    }

    /** @returns false if the work is to be retried */
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
        // An error that no retry changes ends the process, as at the start.
        process.nextTick(() => {
          throw error
        })
      })
    })
    app.addHook('onRequest', (request, _reply, done) => {
      if (!waiting || healthOf(request) === 'live') done()
      else done(new Problem('service_unavailable', { reason: 'starting' }))
    })
    // Abort before the plugins that the work has started are closed.
    app.addHook('preClose', async () => {
      closing.abort()
      await Promise.race([working, delay(abortTimeoutMs, undefined, { ref: false })])
    })
    app.addHook('onClose', async () => {
      await db.destroy()
    })
  },
  { name: 'latchkey-database', fastify: '5.x' },
)
