import { Type } from '@sinclair/typebox'

export const TokenRequest = Type.Object(
  {
    grant_type: Type.String({ description: 'Only `client_credentials`', examples: ['client_credentials'] }),
    scope: Type.Optional(
      Type.String({
        description: 'Separated by a space; without it, all scopes of the client',
        examples: ['introspect revocations:read'],
      }),
    ),
    client_id: Type.Optional(
      Type.String({
        description: 'Where the client does not authenticate by HTTP Basic',
        examples: ['gateway'],
      }),
    ),
    client_secret: Type.Optional(Type.String({ format: 'password', description: 'With `client_id`' })),
  },
  { $id: 'TokenRequest' },
)

export const TokenSchema = Type.Object(
  {
    access_token: Type.String({ description: 'A JWT (RFC 9068) whose `sub` is `client_` and the id' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ minimum: 1, description: 'Seconds', examples: [900] }),
    scope: Type.String({
      description: 'What the token may do, separated by a space; empty for a client without scopes',
      examples: ['introspect revocations:read'],
    }),
  },
  { $id: 'Token', description: 'An access token of a service client, RFC 6749 section 5.1' },
)

const AnyToken = Type.String({ description: 'Of any kind; what is no token is answered, not refused' })

const Hint = Type.Optional(
  Type.String({
    description: 'Not needed: the kind of a token shows from its form',
    examples: ['access_token'],
  }),
)

export const IntrospectionRequest = Type.Object(
  { token: AnyToken, token_type_hint: Hint },
  { $id: 'IntrospectionRequest' },
)

const time = (description: string) =>
  Type.Optional(
    Type.Integer({ description: `${description}, in seconds since the epoch`, examples: [1769860800] }),
  )

const text = (description: string) => Type.Optional(Type.String({ description }))

export const IntrospectionSchema = Type.Object(
  {
    active: Type.Boolean({
      description: 'Whether the service would accept the token now. False: there is nothing else',
    }),
    sub: text('The user, or `client_` and the id of a service client'),
    sid: text('The session, of a token that was issued here to a user'),
    iss: text('Who issued the token'),
    aud: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], { description: 'For whom it was issued' }),
    ),
    exp: time('When it ends'),
    iat: time('When it was issued'),
    jti: text('Names the token; the id of an API key'),
    client_id: text('The client that it was issued to, if the token says so'),
    scope: text('Separated by a space. Absent from a token of a session, which has every scope'),
    token_type: Type.Optional(Type.Literal('Bearer')),
    auth_time: time('When the user last authenticated'),
    acr: text('How strongly: `aal1`, `aal2`'),
    amr: Type.Optional(Type.Array(Type.String(), { description: 'How: `pwd`, `otp`', examples: [['pwd']] })),
  },
  { $id: 'Introspection', description: 'What a token is worth, RFC 7662 section 2.2' },
)

export const RevocationRequest = Type.Object(
  { token: AnyToken, token_type_hint: Hint },
  { $id: 'RevocationRequest' },
)

export const schemas = [
  TokenRequest,
  TokenSchema,
  IntrospectionRequest,
  IntrospectionSchema,
  RevocationRequest,
]
