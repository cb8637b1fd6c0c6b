import { Type } from '@sinclair/typebox'
import { Nullable, Timestamp } from '../../../../plugins/contract/schemas.ts'
import { storable } from '../../../../src/db/storable.ts'

const KeyId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'Opaque',
  examples: ['key_01kb3v5rs1e2wbhx4hrsz3zj5g'],
})

const KeyName = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: storable,
  description: 'What it is for, in the words of its owner',
  examples: ['Nightly export'],
})

const Scope = Type.String({ maxLength: 64, pattern: '^[a-z][a-z0-9:._-]*$', examples: ['tasks:read'] })

const fields = {
  id: KeyId,
  name: KeyName,
  scopes: Type.Array(Scope, { description: 'What it opens: operations with one of them in `x-scopes`' }),
  created_at: Timestamp('When it was made'),
  expires_at: Timestamp('When it expires'),
  last_used_at: Nullable({
    format: 'date-time',
    description: 'When it was last used, at most a minute late; null until then',
    examples: ['2026-01-31T12:00:00.000Z'],
  }),
}

export const ApiKeySchema = Type.Object(fields, {
  $id: 'ApiKey',
  description: 'An API key, without its text',
})

export const NewApiKeySchema = Type.Object(
  {
    ...fields,
    key: Type.String({
      description: 'Shown only here. Sent as the bearer token',
      // The checksum is wrong on purpose: no secret scanner reports it.
      examples: ['lk_pat_0000000000000000000000000000000000EX'],
    }),
  },
  { $id: 'NewApiKey', description: 'An API key with its text' },
)

/** @param maxDays API_KEY_MAX_DAYS */
export function createKeyBody(maxDays: number) {
  return Type.Object(
    {
      name: KeyName,
      scopes: Type.Array(Scope, {
        minItems: 1,
        maxItems: 50,
        uniqueItems: true,
        description: 'Of those that operations have in `x-scopes`',
        examples: [['tasks:read']],
      }),
      expires_in_days: Type.Integer({
        minimum: 1,
        maximum: maxDays,
        description: 'At most `API_KEY_MAX_DAYS` of the service',
        examples: [90],
      }),
    },
    { $id: 'CreateKey', additionalProperties: false },
  )
}

export const KeyParams = Type.Object({ key_id: KeyId })

export const schemas = [ApiKeySchema, NewApiKeySchema]
