import { type TSchema, Type } from '@sinclair/typebox'
import { identityHeaders } from '../../src/gateway/identity.ts'
import { type Acr, acrValues } from '../../src/tokens/requirements.ts'

/** Documented and not enforced: src/gateway/parameters.ts answers 403 where validation would answer 400. */
export const VerifyQuery = Type.Object({
  access: Type.Optional(
    Type.Unsafe<'user' | 'optional'>({
      type: 'string',
      enum: ['user', 'optional'],
      default: 'user',
      description:
        '`optional` lets a request without a valid token pass; with `user_id` or `owner` it does not',
    }),
  ),
  user_id: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'The owner, a segment that the gateway took from the path: only its own token passes',
    }),
  ),
  owner: Type.Optional(
    Type.String({
      pattern: '^/([^/]+/)*:user_id(/[^/]+)*$',
      maxLength: 255,
      description: 'Where the original path names the owner, for a gateway that cannot take it from the path',
      examples: ['/api/:user_id'],
    }),
  ),
  scope: Type.Optional(
    Type.String({
      pattern: '^[a-z][a-z0-9:._-]{0,63}$',
      description: 'Scope that an API key must have; a session has every scope',
      examples: ['notes:read'],
    }),
  ),
  max_age: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 9_999_999_999,
      description: 'Seconds since the user last authenticated, at most',
    }),
  ),
  acr: Type.Optional(
    Type.Unsafe<Acr>({
      type: 'string',
      enum: acrValues,
      description: 'The authentication context that the token must have reached',
    }),
  ),
})

const target = (gateway: string) =>
  Type.Optional(
    Type.String({
      description: `The original target, from ${gateway}; read only with \`owner\``,
      examples: ['/api/user_01kb3v5rs1e2wbhx4hrsz3zj5e/notes'],
    }),
  )

export const OriginalTarget = Type.Object({
  'x-forwarded-uri': target('Traefik or Caddy'),
  'x-original-uri': target('nginx'),
  'x-original-url': target('ingress-nginx'),
})

const descriptions: Record<(typeof identityHeaders)[number], string> = {
  'x-latchkey-user': 'The subject of the token',
  'x-latchkey-key': 'The user among those of all issuers, percent-encoded: the key to store data under',
  'x-latchkey-issuer': 'The issuer of the token; `-` where it was signed with the shared secret',
  'x-latchkey-session': 'The session of the token',
  'x-latchkey-client': 'The client that the token was issued to',
  'x-latchkey-scope': 'The scopes of an API key, space-separated; `-` for a session, which has every scope',
  'x-latchkey-expires': 'When the token expires, in seconds since the epoch',
  'x-latchkey-auth-time': 'When the user last authenticated, in seconds since the epoch',
  'x-latchkey-acr': 'The authentication context of the token',
}

const headerNames = identityHeaders.map((name) => [
  name.replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase()),
  { type: 'string', description: descriptions[name] },
])

export const Passes: TSchema = {
  ...Type.Null(),
  description: 'The request may pass. Every header is there, `-` where there is nothing to say',
  headers: Object.fromEntries(headerNames),
}
