import { METHODS } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { verifyPath } from '../../src/gateway/question.ts'
import { OriginalTarget, Passes, VerifyQuery } from './schemas.ts'

/** All that the parser accepts but CONNECT, which it hands to no request handler. */
const methods = METHODS.filter((method) => method !== 'CONNECT')

export default async function gatewayRoutes(app: RouteScope): Promise<void> {
  for (const method of methods) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)

  const config = { access: 'gateway', cors: false } as const
  // `preParsing` follows the guard, and precedes the body.
  const preParsing = async ({ identity }: FastifyRequest, reply: FastifyReply) => {
    if (!identity) throw new Error('there is no guard that has verified the request')
    return reply.code(200).headers(identity).send()
  }
  const handler = () => {
    throw new Error('answered before the body was read')
  }

  app.route({
    method: 'GET',
    url: verifyPath,
    config,
    schema: {
      operationId: 'verifyForGateway',
      tags: ['operations'],
      summary: 'Whether the request in front of a gateway may pass',
      description:
        'Answers **any method** alike, and reads no body. For a gateway that appends the original target to a path ' +
        '(Envoy), `/gateway/verify/{parameters}/{original path}` asks the same: the parameters are one segment, in ' +
        "query syntax and percent-encoded, or `-`, and the query is the client's. A parameter that is unknown, " +
        'repeated or invalid is a 403. For the network of the gateway: docs/gateways.md.',
      querystring: VerifyQuery,
      headers: OriginalTarget,
      response: { 200: Passes },
    },
    preParsing,
    handler,
  })
  app.route({
    method: methods.filter((method) => method !== 'GET' && method !== 'HEAD'),
    url: verifyPath,
    config,
    schema: { hide: true },
    preParsing,
    handler,
  })
}
