import { Type } from '@sinclair/typebox'
import { FeedCursor, FeedWait } from '../../../plugins/contract/feed.ts'
import { Nullable, Ref, Timestamp } from '../../../plugins/contract/schemas.ts'

export const EventsQuery = Type.Object(
  {
    after: FeedCursor(
      'The `cursor` of the answer before, of whichever instance; without it, from the oldest event that is kept',
      'WyI4MTI6ODEyOiIsbnVsbCwwXQ',
    ),
    types: Type.Optional(
      Type.String({
        maxLength: 1_000,
        pattern: '^[a-z_.]+(,[a-z_.]+)*$',
        description: 'Only these types, separated by commas',
        examples: ['user.created,user.deleted'],
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 500, default: 100, description: 'Most events in one answer' }),
    ),
    wait: FeedWait('Seconds to wait for an event; then the answer has none'),
  },
  { additionalProperties: false },
)

export const EventSchema = Type.Object(
  {
    id: Type.String({
      description: 'The same however often the event comes',
      examples: ['event_2x6tnc1k0m9q5a4r8v3jd7ye1h'],
    }),
    type: Type.String({
      description:
        'What happened: `user.created`, `user.updated`, `user.deleted`, or a security event. Ignore an unknown one.',
      examples: ['user.updated'],
    }),
    at: Timestamp('When it happened'),
    user_id: Nullable({
      description: 'The user: `sub`, and of a trusted issuer, `iss`, a space and `sub`',
      examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'],
    }),
  },
  { $id: 'Event', additionalProperties: false },
)

export const EventFeedSchema = Type.Object(
  {
    cursor: Type.String({ description: 'For `after` of the next request' }),
    events: Type.Array(Ref(EventSchema), {
      description: 'In the order of their transactions. One may come more than once, none is left out.',
    }),
  },
  { $id: 'EventFeed', additionalProperties: false },
)

export const schemas = [EventSchema, EventFeedSchema]
