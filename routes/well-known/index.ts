import type { RouteScope } from '../../plugins/contract/provider.ts'
import { Ref } from '../../plugins/contract/schemas.ts'
import { jwksMaxAge } from '../../src/keys/signing-keys.ts'
import { type MetadataOptions, metadataOf } from './metadata.ts'
import { JwksSchema, MetadataSchema, schemas } from './schemas.ts'

export default async function wellKnownRoutes(app: RouteScope, options: MetadataOptions): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '/jwks.json',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getJwks',
        tags: ['auth'],
        summary: 'The keys that verify access tokens',
        description:
          'The next key is here before it signs, an old one until its last token has expired. Cache the answer as ' +
          'it says, and read it again when a token names a `kid` that it lacks. Empty when tokens are signed with ' +
          'a shared secret (`ALGORITHM=HS256`).',
        response: {
          200: {
            ...Ref(JwksSchema),
            description: 'The keys',
            headers: { 'Cache-Control': { type: 'string', description: 'How long the keys may be kept' } },
          },
        },
      },
    },
    async (_request, reply) =>
      reply
        .header('cache-control', `public, max-age=${jwksMaxAge}`)
        .code(200)
        .send({ keys: app.signingKeys?.publicJwks() ?? [] }),
  )

  const metadata = metadataOf(options)
  const documents = {
    'openid-configuration': ['getOpenidConfiguration', 'OpenID Connect Discovery 1.0'],
    'oauth-authorization-server': ['getAuthorizationServerMetadata', 'RFC 8414'],
  } as const
  for (const [name, [operationId, standard]] of Object.entries(documents)) {
    app.get(
      `/${name}`,
      {
        config: { access: 'public' },
        schema: {
          operationId,
          tags: ['oauth'],
          summary: `Where the endpoints of machines are (${standard})`,
          description:
            'The URLs come from `PUBLIC_URL` alone. Where that has a path, the document is also at this path with ' +
            "that one behind it (RFC 8414 section 3.1), on the gateway's root.",
          response: {
            200: {
              ...Ref(MetadataSchema),
              description: 'The metadata',
              headers: { 'Cache-Control': { type: 'string', description: 'How long it may be kept' } },
            },
          },
        },
      },
      async (_request, reply) =>
        reply.header('cache-control', `public, max-age=${jwksMaxAge}`).code(200).send(metadata),
    )
  }
}
