import type { RouteScope } from '../../plugins/contract/provider.ts'
import { Ref } from '../../plugins/contract/schemas.ts'
import { jwksMaxAge } from '../../src/keys/signing-keys.ts'
import { JwksSchema, schemas } from './schemas.ts'

export default async function wellKnownRoutes(app: RouteScope): Promise<void> {
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
}
