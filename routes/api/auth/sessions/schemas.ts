import { Type } from '@sinclair/typebox'
import { Timestamp } from '../../../../plugins/contract/schemas.ts'

const SessionId = Type.String({
  minLength: 1,
  maxLength: 64,
  pattern: '^[A-Za-z0-9_-]+$',
  description: 'Opaque',
  examples: ['session_01kb3v5rs1e2wbhx4hrsz3zj5f'],
})

export const SessionInfoSchema = Type.Object(
  {
    id: SessionId,
    created_at: Timestamp('When it was opened'),
    last_used_at: Timestamp('When it was last refreshed'),
    expires_at: Timestamp('When it ends unless it is refreshed before'),
    ip: Type.String({ description: 'The address that opened it', examples: ['192.0.2.7'] }),
    user_agent: Type.String({
      description: 'The client that opened it, in its own words',
      examples: ['curl/8.5.0'],
    }),
    current: Type.Boolean({ description: "Whether it is the token's own" }),
  },
  { $id: 'SessionInfo' },
)

export const SessionParams = Type.Object({ session_id: SessionId })

export const schemas = [SessionInfoSchema]
