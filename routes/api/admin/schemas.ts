import { Type } from '@sinclair/typebox'
import { Nullable, Timestamp } from '../../../plugins/contract/schemas.ts'
import { securityEventNames } from '../../../src/audit.ts'
import { storable } from '../../../src/db/storable.ts'
import { Email, Name } from '../auth/schemas.ts'

/** An issuer, a space and a subject. */
const maxUserIdLength = 1_024

const userIdExample = 'user_01kb3v5rs1e2wbhx4hrsz3zj5e'

export const AdminUserParams = Type.Object({
  user_id: Type.String({
    minLength: 1,
    maxLength: maxUserIdLength,
    pattern: storable,
    description:
      "The `id` of the user, percent-encoded: of a trusted issuer's user the `iss`, a space and the `sub` of its tokens",
    examples: [userIdExample],
  }),
})

export const AdminUserSchema = Type.Object(
  {
    id: Type.String({
      description:
        "Unique among the users of all issuers: a trusted issuer's user has the `iss`, a space and the `sub`",
      examples: [userIdExample],
    }),
    email: Nullable({
      format: 'email',
      description: "Null only for a trusted issuer's user",
      examples: ['test@example.com'],
    }),
    name: Name,
    email_verified: Type.Boolean(),
    created_at: Timestamp('When the account was made'),
    issuer: Nullable({
      description: 'The trusted issuer; null for an account of this service',
      examples: ['https://app.example.com'],
    }),
    second_factor: Type.Boolean({ description: 'Whether the account has a second factor' }),
    ban: Type.Unsafe<{ at: string; until: string | null; reason: string } | null>({
      type: ['object', 'null'],
      description: 'Null for a user who is not banned now',
      required: ['at', 'until', 'reason'],
      properties: {
        at: Timestamp('When the user was banned'),
        until: Nullable({
          format: 'date-time',
          description: 'When the ban ends; null: when it is lifted',
          examples: ['2026-02-28T12:00:00.000Z'],
        }),
        reason: Type.String({ examples: ['Spam'] }),
      },
    }),
  },
  { $id: 'AdminUser', description: 'A user, as an operator sees it' },
)

export const BanBody = Type.Object(
  {
    until: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When the ban ends by itself (RFC 3339); without it, when it is lifted',
        examples: ['2126-02-28T12:00:00Z'],
      }),
    ),
    reason: Type.String({
      minLength: 1,
      maxLength: 500,
      pattern: storable,
      description: 'For operators: the user does not see it',
      examples: ['Spam'],
    }),
  },
  { $id: 'Ban', additionalProperties: false },
)

export const InvitationBody = Type.Object(
  { email: Email, name: Type.Optional(Name) },
  { $id: 'Invitation', additionalProperties: false },
)

const Limit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 100, default: 50, description: 'Most entries in one answer' }),
)

export const UsersQuery = Type.Object(
  {
    email: Type.Optional(Email),
    after: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: maxUserIdLength,
        pattern: storable,
        description: 'From the `next` link of an earlier answer',
        examples: [userIdExample],
      }),
    ),
    limit: Limit,
  },
  { additionalProperties: false },
)

export const SecurityEventSchema = Type.Object(
  {
    id: Type.Integer({ examples: [42] }),
    event: Type.String({ description: 'What happened; there may be further names', examples: ['login'] }),
    at: Timestamp('When'),
    user_id: Nullable({ description: 'The `id` of the user', examples: [userIdExample] }),
    session_id: Nullable({ examples: ['session_01kb3v5rs1e2wbhx4hrsz3zj5f'] }),
    key_id: Nullable({ description: 'The API key', examples: ['key_01kb3v5rs1e2wbhx4hrsz3zj5g'] }),
    ip: Nullable({ description: 'The address of the client', examples: ['192.0.2.7'] }),
    client_id: Nullable({ description: 'The service client whose call it was', examples: ['support-desk'] }),
  },
  { $id: 'SecurityEvent' },
)

export const EventsQuery = Type.Object(
  {
    user_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: maxUserIdLength,
        pattern: storable,
        description: 'Only of that user, by its `id`',
        examples: [userIdExample],
      }),
    ),
    event: Type.Optional(
      Type.Unsafe<string>({
        type: 'string',
        enum: [...securityEventNames],
        description: 'Only of that name',
        examples: ['login_failed'],
      }),
    ),
    after: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'From the `next` link of an earlier answer',
        examples: [42],
      }),
    ),
    limit: Limit,
  },
  { additionalProperties: false },
)

export const schemas = [AdminUserSchema, BanBody, InvitationBody, SecurityEventSchema]
