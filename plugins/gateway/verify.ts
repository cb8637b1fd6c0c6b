import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { logEvents, naming } from '../../src/audit.ts'
import type { Clock } from '../../src/clock.ts'
import { assertMayPass } from '../../src/gateway/assert-may-pass.ts'
import { type Identity, identityOf, nobody } from '../../src/gateway/identity.ts'
import { originalPath } from '../../src/gateway/original-path.ts'
import { ownerIn } from '../../src/gateway/owner-pattern.ts'
import { type Question, questionOf } from '../../src/gateway/question.ts'
import { clientKey } from '../../src/limits/address.ts'
import type { Counter } from '../../src/limits/counters.ts'
import { Problem } from '../../src/problem.ts'
import { TokenRefused } from '../../src/tokens/refusal.ts'
import { refusalOf } from '../guard.ts'
import { clientAddress } from '../limits/client-address.ts'
import { targetOf } from './asking.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who passes, on a route with access `gateway`; null until its guard has said so. */
    identity: Identity | null
  }
}

interface GatewayOptions {
  /** The `iss` of the service's own tokens. */
  readonly issuer: string
  /** False where the gateway limits requests by address. */
  readonly byAddress: boolean
  readonly clock: Clock
}

/** `request.verifyForGateway()`, the guard of access `gateway`: sets `request.identity`, or refuses. */
export default fp<GatewayOptions>(
  async (app, { issuer, byAddress, clock }) => {
    app.decorateRequest('identity', null)
    app.decorateRequest('verifyForGateway', async function (this: FastifyRequest) {
      const question = questionOf(targetOf(this))
      let counter: Counter | undefined
      const beforeSignature = async () => {
        if (byAddress) counter = await countOf(this)
      }
      try {
        this.identity = await answerOf(this, question, beforeSignature)
        if (counter && this.user) app.counters.giveBack([counter])
      } catch (error) {
        const problem = forGateway(refusalOf(error))
        const isRefusal = problem.code !== 'service_unavailable'
        if (counter && !isRefusal) app.counters.giveBack([counter])
        // Not awaited: the answer does not depend on it.
        if (!counter && isRefusal && byAddress) void app.counters.take([counterOf(this)])
        throw problem
      }
    })

    /** @throws Problem, TokenRefused */
    async function answerOf(
      request: FastifyRequest,
      { parameters, appended }: Question,
      beforeSignature: () => Promise<void>,
    ): Promise<Identity> {
      const { access, userId } = parameters
      const owner =
        parameters.owner && ownerIn(parameters.owner, originalPath(request.raw.rawHeaders, appended))
      try {
        await request.authenticateToken(beforeSignature)
      } catch (error) {
        if (access !== 'optional' || owner !== undefined || userId !== undefined) throw error
        request.user = null
        return nobody
      }
      assertMayPass(request.caller, parameters, owner, clock())
      return identityOf(request.caller, issuer)
    }

    /**
     * Counts the attempt before the signature is checked, so that concurrent ones cannot exceed the budget.
     * @throws TokenRefused limited, when the budget of the client's address is used up
     */
    async function countOf(request: FastifyRequest): Promise<Counter> {
      const counter = counterOf(request)
      const [count] = await app.counters.take([counter])
      if (!count?.refused) return counter
      if (app.firstTimes.isFirst(counter)) {
        const event = { event: 'rate_limit_reached', ip: counter.key, limit: counter.limit } as const
        logEvents(naming(request.id, app.log), [event])
      }
      throw new TokenRefused('limited')
    }
  },
  { name: 'latchkey-gateway', fastify: '5.x', dependencies: ['latchkey-guard', 'latchkey-rate-limit'] },
)

/** Of the client in front of the gateway, by TRUST_PROXY. */
function counterOf(request: FastifyRequest): Counter {
  return { limit: 'everything', key: clientKey(clientAddress(request)) }
}

/** Gateways pass 401 and 403 on, and read any other status as a fault of this service. */
function forGateway(problem: Problem): Problem {
  if (problem.code !== 'invalid_request') return problem
  const { reason = 'malformed', headers } = problem
  return new Problem('unauthorized', { reason, headers })
}
