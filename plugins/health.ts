import type { FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * A health check of an orchestrator: never limited and never refused under pressure, which would get the process
     * killed. `live` is answered without a database, too.
     */
    health?: 'live' | 'ready'
  }
}

/** The kind of health check of a request's route, if any. */
export const healthOf = (request: FastifyRequest) => request.routeOptions.config.health
