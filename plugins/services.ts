import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { headerValues } from '../src/http/raw-headers.ts'
import { Problem } from '../src/problem.ts'
import { checkExpiry } from '../src/tokens/claims.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import { assertServiceScope, type Service } from '../src/tokens/service.ts'
import { bearerTokenOf } from './jwt.ts'

const expiry = Symbol('expiry of the service token')

declare module 'fastify' {
  interface FastifyRequest {
    /** The service client that calls a route with access `service`; null on every other route. */
    service: Service | null
    /**
     * Sets `request.service`, also where the client lacks the scope. For guards.
     * @throws Problem invalid_client, invalid_request, insufficient_scope, rate_limited, service_unavailable
     */
    authenticateService(scope: string, options?: { readonly countsFailures: boolean }): Promise<void>
    /** Throws when the token of `request.service` has expired while the body arrived (TOCTOU). For guards. */
    assertServiceStillLive(): void
    [expiry]: number | null
  }
}

/** Of the service that has the configuration of the clients; another one verifies their tokens only. */
export interface ServiceCredentials {
  /** Whether an Authorization header has client id and secret, and not a token. */
  claims(header: string): boolean
  /** The client of such a header; undefined where it is malformed, unknown or has a wrong secret. */
  verify(header: string): Service | undefined
  /**
   * Called for each failed authentication.
   * @throws Problem rate_limited
   */
  countFailure(request: FastifyRequest): Promise<void>
}

interface ServiceOptions {
  readonly clock: Clock
  readonly credentials?: ServiceCredentials | undefined
}

/** `request.service`, from HTTP Basic (where there are credentials) or from the access token of a client. */
export default fp<ServiceOptions>(
  async (app, { clock, credentials }) => {
    app.decorateRequest('service', null)
    app.decorateRequest(expiry, null)

    async function identify(request: FastifyRequest): Promise<Service> {
      const headers = headerValues(request.raw.rawHeaders, 'authorization')
      const [header = ''] = headers
      if (headers.length === 1 && credentials?.claims(header)) {
        const service = credentials.verify(header)
        if (!service) throw new TokenRefused('credentials')
        return service
      }
      const { service, expiresAt } = await app.verifyBearer(bearerTokenOf(request))
      if (!service) throw new TokenRefused('user_token')
      request[expiry] = expiresAt
      return service
    }

    function refusalOf(error: unknown): Problem {
      if (error instanceof Problem) return error
      const reason = error instanceof TokenRefused ? error.reason : 'signature'
      const challenge = reason === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"'
      const headers = credentials ? {} : { 'www-authenticate': challenge }
      return new Problem('invalid_client', { reason, cause: error, headers })
    }

    app.decorateRequest(
      'authenticateService',
      async function (this: FastifyRequest, scope: string, { countsFailures } = { countsFailures: true }) {
        const service = await identify(this).catch(async (error: unknown) => {
          const problem = refusalOf(error)
          if (countsFailures && problem.code === 'invalid_client') await credentials?.countFailure(this)
          throw problem
        })
        this.service = service
        assertServiceScope(service, scope)
      },
    )

    app.decorateRequest('assertServiceStillLive', function (this: FastifyRequest) {
      try {
        if (this[expiry] !== null) checkExpiry(this[expiry], clock())
      } catch (error) {
        throw refusalOf(error)
      }
    })
  },
  { name: 'latchkey-services', fastify: '5.x', dependencies: ['latchkey-jwt'] },
)
