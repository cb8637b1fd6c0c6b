import type { FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * A route that is asked by who decides if the process lives or gets requests: an answer that it is busy, or that
     * somebody asks too often, would get it killed. `live` is answered while there is no database, too.
     */
    health?: 'live' | 'ready'
  }
}

/** What the route of a request tells of, if it is a health check. */
export const healthOf = (request: FastifyRequest) => request.routeOptions.config.health
