import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import fp from 'fastify-plugin'
import { Problem } from '../src/problem.ts'
import { healthOf } from './health.ts'

/** Share of the heap limit above which garbage collection takes most of the time. */
const heapShare = 0.9

/** After the start, in which loading and migrating delay the event loop. */
const settlingMs = 2_500

/**
 * Sheds load: answers 503 while the event loop is delayed or the heap is full, so that pending requests are served.
 * @param maxDelay of the event loop, in milliseconds; 0 turns it off
 */
export default fp<{ readonly maxDelay: number }>(
  async (app, { maxDelay }) => {
    if (maxDelay === 0) return
    let settledAt = Number.POSITIVE_INFINITY
    const settle = async () => {
      settledAt = performance.now() + settlingMs
    }
    app.addHook('onReady', async () => {
      await settle()
      // The process listens before it migrates.
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
