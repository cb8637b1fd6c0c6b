import { type Static, Type } from '@sinclair/typebox'
import { FeedCursor, FeedWait } from '../../../plugins/contract/feed.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import type { Revocation } from '../../../src/sessions/revocations.ts'

export const FeedQuery = Type.Object(
  {
    after: FeedCursor(
      'The `cursor` of the answer before, of whichever instance; without it, everything',
      'WyI4MTI6ODEyOiIsbnVsbCxbInk5c0RfZjFBIiwzXV0',
    ),
    wait: FeedWait('Seconds to wait for something new after a cursor; then the answer has no revocations'),
  },
  { additionalProperties: false },
)

const EndsAt = Type.Integer({
  description: 'When every token that it refuses has expired, in seconds since the epoch: forget it then',
  examples: [1790000975],
})

export const RevokedSessionSchema = Type.Object(
  {
    session_id: Type.String({
      description: 'Refuses the tokens with this `sid`',
      examples: ['session_01kb3v5rs1e2wbhx4hrsz3zj5f'],
    }),
    ends_at: EndsAt,
  },
  { $id: 'RevokedSession', additionalProperties: false },
)

export const RevokedUserSchema = Type.Object(
  {
    user_key: Type.String({
      description:
        'The user: `sub`, and for a token of a trusted issuer, `iss`, a space and `sub`. Refuses the tokens ' +
        'without `sid`',
      examples: ['https://app.example.com xK8eN6zoDPirF4SBwQrYXI70k3Cq3Rxs'],
    }),
    issued_until: Type.Number({
      description: 'Those whose `iat` is not later, in seconds since the epoch',
      examples: [1790000000.999],
    }),
    ends_at: EndsAt,
    ban_revision: Type.Optional(
      Type.Integer({
        description:
          'The entry is the ban of the user: until `issued_until` refuse every token, with `sid` too. Of the bans of ' +
          'a user, the one with the highest `ban_revision` counts, whose `issued_until` is past once the ban was lifted',
        examples: [42],
      }),
    ),
  },
  { $id: 'RevokedUser', additionalProperties: false },
)

export const RevokedKeySchema = Type.Object(
  {
    key_id: Type.String({
      description: 'Refuses this API key',
      examples: ['key_01kb3v5rs1e2wbhx4hrsz3zj5g'],
    }),
    ends_at: EndsAt,
  },
  { $id: 'RevokedKey', additionalProperties: false },
)

export const RevocationFeedSchema = Type.Object(
  {
    cursor: Type.String({ description: 'For `after` of the next request' }),
    revocations: Type.Array(
      Type.Unsafe<Entry>({
        anyOf: [Ref(RevokedSessionSchema), Ref(RevokedUserSchema), Ref(RevokedKeySchema)],
      }),
      { description: 'Some may come more than once, none is left out. Ignore an entry of an unknown form.' },
    ),
  },
  { $id: 'RevocationFeed', additionalProperties: false },
)

type Entry =
  | Static<typeof RevokedSessionSchema>
  | Static<typeof RevokedUserSchema>
  | Static<typeof RevokedKeySchema>

/** A revocation as readers see it. */
export function entryOf(revocation: Revocation): Entry {
  if ('session' in revocation) return { session_id: revocation.session, ends_at: revocation.endsAt }
  if ('key' in revocation) return { key_id: revocation.key, ends_at: revocation.endsAt }
  if ('banned' in revocation) {
    const { banned, until, endsAt, revision } = revocation
    return { user_key: banned, issued_until: until, ends_at: endsAt, ban_revision: revision }
  }
  return { user_key: revocation.user, issued_until: revocation.at, ends_at: revocation.endsAt }
}

export const schemas = [RevokedSessionSchema, RevokedUserSchema, RevokedKeySchema, RevocationFeedSchema]
