import { feedHeaders, readerGone, refuseCursor } from '../../../plugins/contract/feed.ts'
import { nextLink } from '../../../plugins/contract/paging.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { type EventType, isEventType } from '../../../src/events/event-types.ts'
import { Problem } from '../../../src/problem.ts'
import { EventFeedSchema, EventsQuery, schemas } from './schemas.ts'

export default async function eventRoutes(
  app: RouteScope,
  { basePath }: { readonly basePath: string },
): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'service', scope: 'events:read', problems: ['cursor_expired'] },
      schema: {
        operationId: 'readEvents',
        tags: ['events'],
        summary: 'Read what has happened',
        description:
          'Changes of users, and security events, without addresses. Ask again with the last `cursor`, at once while ' +
          'there is a `next` link, and with a `wait` when there is none. A cursor that is invalid, or of a database ' +
          'that was replaced, is 400 `invalid_request`; one after which events have been deleted is 410 ' +
          '`cursor_expired`. Start over then.',
        querystring: EventsQuery,
        response: {
          200: {
            ...Ref(EventFeedSchema),
            description: 'What is new',
            headers: feedHeaders,
          },
        },
      },
    },
    async (request, reply) => {
      const { after, types, limit = 100, wait = 0 } = request.query
      const wanted = types === undefined ? undefined : typesOf(types)
      const question = { after, types: wanted, limit, waitMs: wait * 1000 }
      const answer = await app.publishedEvents.next(question, readerGone(reply)).catch(refuseCursor)
      if (answer.more)
        reply.header('link', nextLink(`${basePath}/api/events`, { after: answer.cursor, limit, types }))
      return reply
        .header('cache-control', 'no-store')
        .code(200)
        .send({ cursor: answer.cursor, events: [...answer.events] })
    },
  )
}

/** @throws Problem validation_failed */
function typesOf(text: string): ReadonlySet<EventType> {
  const names = text.split(',')
  if (names.every(isEventType)) return new Set(names)
  throw new Problem('validation_failed', { errors: [{ path: 'types', message: 'must be types of events' }] })
}
