import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import fp from 'fastify-plugin'
import { Problem } from '../src/problem.ts'
import { healthOf } from './health.ts'

/** Share of the heap's limit from which on collecting garbage is most of what the process does. */
const heapShare = 0.9

/** Milliseconds after the start in which lateness is the start's own: what it loads and migrates is behind it then. */
const settling = 2_500

/**
 * Answers 503 while the event loop is late or the heap is full, so that who waits already is served.
 * @param maxDelay milliseconds; 0 turns it off
 */
export default fp<{ readonly maxDelay: number }>(
  async (app, { maxDelay }) => {
    if (maxDelay === 0) return
    let settledAt = Number.POSITIVE_INFINITY
    const settle = async () => {
      settledAt = performance.now() + settling
    }
    app.addHook('onReady', async () => {
      await settle()
      // A process listens before it migrates.
      if (app.hasDecorator('onceDatabaseIsThere')) app.onceDatabaseIsThere(settle)
    })
    app.addHook('onListen', settle)
    await app.register(underPressure, {
      maxEventLoopDelay: maxDelay,
      maxHeapUsedBytes: getHeapStatistics().heap_size_limit * heapShare,
      pressureHandler: (request, _reply, reason) => {
        if (healthOf(request) || performance.now() < settledAt) return
        throw new Problem('service_unavailable', { reason })
      },
    })
  },
  { name: 'latchkey-pressure', fastify: '5.x' },
)
