import { Type } from '@sinclair/typebox'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { Ref } from '../../plugins/contract/schemas.ts'
import { clientAddress } from '../../plugins/limits/client-address.ts'
import { fieldErrors, sendProblem } from '../../plugins/problems/errors.ts'
import { oauthJson } from '../../plugins/problems/oauth.ts'
import { formType } from '../../src/http/form.ts'
import { Problem } from '../../src/problem.ts'
import { inactive, introspectionOf } from '../../src/services/introspection.ts'
import { narrowed } from '../../src/services/scopes.ts'
import { revokeToken } from '../../src/services/token-revocation.ts'
import { TokenRefused } from '../../src/tokens/refusal.ts'
import { lacksSecondFactor } from '../../src/tokens/requirements.ts'
import { authenticateClient } from './client.ts'
import {
  IntrospectionRequest,
  IntrospectionSchema,
  RevocationRequest,
  schemas,
  TokenRequest,
  TokenSchema,
} from './schemas.ts'

const tags = ['oauth']
const consumes = [formType]

/** The standard words for machines: RFC 6749 section 4.4, RFC 7662, RFC 7009. */
export default async function oauthRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)
  app.setSchemaErrorFormatter((errors) => new Problem('invalid_request', { errors: fieldErrors(errors) }))

  app.post(
    '/token',
    {
      config: {
        access: 'public',
        limitsFailures: true,
        problemFormat: oauthJson,
        problems: ['invalid_client', 'invalid_scope', 'unsupported_grant_type'],
      },
      errorHandler: sendCountedProblem,
      schema: {
        operationId: 'issueToken',
        tags,
        summary: 'Exchange the credentials of a service client for an access token',
        description:
          'RFC 6749 section 4.4. The client authenticates by HTTP Basic, or by `client_id` and `client_secret` in ' +
          'the form. There is no refresh token: the same request gives the next access token.',
        consumes,
        body: Ref(TokenRequest),
        response: { 200: { ...Ref(TokenSchema), description: 'The token' } },
      },
    },
    async (request, reply) => {
      const client = authenticateClient(request, request.body)
      request.service = client
      if (request.body.grant_type !== 'client_credentials') throw new Problem('unsupported_grant_type')
      const granted = narrowed(client, request.body.scope)
      const { token, expiresIn } = app.issueClientToken(granted)
      const scope = granted.scopes.join(' ')
      return reply
        .header('pragma', 'no-cache')
        .code(200)
        .send({ access_token: token, token_type: 'Bearer', expires_in: expiresIn, scope })
    },
  )

  app.post(
    '/introspect',
    {
      config: { access: 'service', scope: 'introspect', problemFormat: oauthJson },
      schema: {
        operationId: 'introspectToken',
        tags,
        summary: 'What a token is worth now',
        description:
          'RFC 7662, for access tokens of this service (of users and of service clients) and of trusted issuers, and ' +
          'for API keys, whose `jti` is the `key_id` of the revocations. It costs no query, but for the first use of ' +
          'a key on an instance. A refresh token is not active. 503 while the service does not know which sessions ' +
          'ended.',
        consumes,
        body: Ref(IntrospectionRequest),
        response: {
          200: { ...Ref(IntrospectionSchema), description: 'Whether the token is active, and what it says' },
        },
      },
    },
    async (request, reply) => {
      if (!app.revocations.current)
        throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
      const bearer = await app.verifyBearer(request.body.token).catch((error: unknown) => {
        if (error instanceof TokenRefused) return undefined
        throw error
      })
      // Other services know nothing of REQUIRE_SECOND_FACTOR.
      const { secondFactor } = app.sessionPolicy
      const isRefused = !bearer || (bearer.user && lacksSecondFactor(bearer.user, secondFactor))
      return reply.code(200).send(isRefused ? inactive : introspectionOf(bearer))
    },
  )

  app.post(
    '/revoke',
    {
      config: { access: 'public', budget: 'refresh', problemFormat: oauthJson },
      schema: {
        operationId: 'revokeToken',
        tags,
        summary: 'End what a token opens',
        description:
          'RFC 7009. The token is the proof: no client has to authenticate. A refresh or access token ends its ' +
          'session; a token of a trusted issuer revokes all such tokens of its user issued until now, as a logout ' +
          'does. An API key ends, alone. An unknown, expired or revoked token changes nothing, nor does the token of ' +
          'a service client; the answer is the same.',
        consumes,
        body: Ref(RevocationRequest),
        response: {
          200: {
            ...Type.Unsafe<undefined>({ type: 'null' }),
            description: 'The token opens nothing any more',
          },
        },
      },
    },
    async (request, reply) => {
      const { token } = request.body
      await revokeToken(request.services, token, clientAddress(request))
      return reply.code(200).send()
    },
  )
}

/** Whatever is refused before the client is known counts as a failure of its address. */
async function sendCountedProblem(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  let problem: unknown = error
  if (!request.service) await request.countServiceFailure().catch((limit: unknown) => (problem = limit))
  sendProblem(problem, request, reply)
  return reply
}
