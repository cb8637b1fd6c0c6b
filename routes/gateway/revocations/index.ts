import { feedHeaders, readerGone, refuseCursor } from '../../../plugins/contract/feed.ts'
import { nextLink } from '../../../plugins/contract/paging.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { entryOf, FeedQuery, RevocationFeedSchema, schemas } from './schemas.ts'

export default async function revocationRoutes(
  app: RouteScope,
  { basePath }: { readonly basePath: string },
): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'service', scope: 'revocations:read' },
      schema: {
        operationId: 'readRevocations',
        tags: ['gateway'],
        summary: 'Read what has been revoked',
        description:
          'For a service that verifies tokens itself. Without `after` it is everything that can still refuse a ' +
          'token, in pages: while there is a `next` link, ask for the rest at once. Then repeat with the last ' +
          '`cursor` and a `wait`, and a logout arrives within a second. A cursor that is invalid, or of a database ' +
          'that was replaced, is 400 `invalid_request`: start over. 503: the instance does not know; refuse tokens once nothing was ' +
          'heard for 10 seconds.',
        querystring: FeedQuery,
        response: {
          200: {
            ...Ref(RevocationFeedSchema),
            description: 'What is new',
            headers: feedHeaders,
          },
        },
      },
    },
    async (request, reply) => {
      const { after, wait = 0 } = request.query
      const answer = await app.publishedRevocations
        .next(after, wait * 1000, readerGone(reply))
        .catch(refuseCursor)
      if (answer.more)
        reply.header('link', nextLink(`${basePath}/gateway/revocations`, { after: answer.cursor }))
      return reply
        .header('cache-control', 'no-store')
        .code(200)
        .send({ cursor: answer.cursor, revocations: answer.revocations.map(entryOf) })
    },
  )
}
