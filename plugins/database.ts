import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import { isDatabaseAway } from '../src/db/errors.ts'
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
  }
}

interface DatabaseOptions {
  readonly db: Db
  /** Brings the schema to what this code needs. Without it, it is that already. */
  readonly prepare?: (() => Promise<void>) | undefined
}

/** Milliseconds between two tries. */
const firstDelay = 100
const longestDelay = 2_000

/**
 * `app.db`: the database, closed with the app. An app starts without it: it is alive, answers 503 to everything else,
 * and gets ready when the database is there.
 */
export default fp<DatabaseOptions>(
  async (app, { db, prepare }) => {
    const works = prepare ? [prepare] : []
    const closing = new AbortController()
    let waiting = true

    app.decorate('db', db)
    app.decorate('onceDatabaseIsThere', (work: () => Promise<void>) => {
      works.push(work)
    })

    /** Goes on where it failed the last time. */
    async function work(): Promise<void> {
      for (let next = works[0]; next; next = works[0]) {
        await next()
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

    app.addHook('onReady', async () => {
      try {
        await work()
      } catch (err) {
        if (!isDatabaseAway(err)) throw err
        app.log.warn({ err }, 'the database is away: requests get 503 until it is there')
        keepTrying().catch((error: unknown) => {
          if (closing.signal.aborted) return
          // What cannot be mended by waiting ends the process, as it would have at the start.
          process.nextTick(() => {
            throw error
          })
        })
      }
    })
    app.addHook('onRequest', async (request) => {
      if (!waiting || healthOf(request) === 'live') return
      throw new Problem('service_unavailable', { reason: 'starting' })
    })
    app.addHook('onClose', async () => {
      closing.abort()
      await db.destroy()
    })
  },
  { name: 'latchkey-database', fastify: '5.x' },
)
