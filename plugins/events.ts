import fp from 'fastify-plugin'
import type { Listen } from '../src/db/listen.ts'
import { EventArrivals } from '../src/events/arrivals.ts'
import { PublishedEvents } from '../src/events/published-events.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Notices that there are new events. */
    readonly eventArrivals: EventArrivals
    /** The events, for readers outside. */
    readonly publishedEvents: PublishedEvents
  }
}

interface EventOptions {
  /** Undefined where the database cannot notify: new events are polled for. */
  readonly listen: Listen | undefined
}

/** `app.publishedEvents` and `app.eventArrivals`, which listen from the first reader that waits. */
export default fp<EventOptions>(
  async (app, { listen }) => {
    const arrivals = new EventArrivals(app.db, listen)
    app.decorate('eventArrivals', arrivals)
    app.decorate('publishedEvents', new PublishedEvents(app.db, arrivals))
    // Readers that wait would hold up the drain.
    app.drainSignal.addEventListener('abort', () => arrivals.readers.release())
    app.addHook('onClose', () => arrivals.stop())
  },
  { name: 'latchkey-events', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-connections'] },
)
