import { Type } from '@sinclair/typebox'
import { Ref, storable, Timestamp } from '../../../plugins/contract/schemas.ts'
import { emailPattern } from '../../../src/accounts/email.ts'
import { passwordLength } from '../../../src/accounts/passwords.ts'

const Email = Type.String({
  format: 'email',
  maxLength: 254,
  pattern: emailPattern,
  description: 'Compared without regard to case',
  examples: ['test@example.com'],
})

export const NewPassword = Type.String({
  format: 'password',
  minLength: passwordLength.min,
  maxLength: passwordLength.max,
  description: 'In code points; kept as an argon2id hash of its NFC form, never truncated',
  examples: ['password123'],
})

/** A password that is only compared. An imported one may be longer than a new one may be. */
export const Password = Type.String({
  format: 'password',
  minLength: 1,
  maxLength: 1024,
  examples: ['password123'],
})

export const Name = Type.String({ minLength: 1, maxLength: 100, pattern: storable, examples: ['Test User'] })

export const UserSchema = Type.Object(
  {
    id: Type.String({ description: 'Opaque', examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'] }),
    email: Type.String({ format: 'email', examples: ['test@example.com'] }),
    name: Name,
    email_verified: Type.Boolean(),
    created_at: Timestamp('When the account was made'),
  },
  { $id: 'User', description: 'An account, as its owner sees it' },
)

export const SessionSchema = Type.Object(
  {
    user: Ref(UserSchema),
    token: Type.String({ description: 'The access token, a JWT (RFC 9068)' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({
      minimum: 1,
      description: 'Seconds until the access token ends',
      examples: [900],
    }),
    refresh_token: Type.String({ description: 'Exchanged for the next session answer, once; opaque' }),
  },
  { $id: 'Session', description: 'An open session: its user, its access token, its refresh token' },
)

export const SignUpBody = Type.Object(
  { email: Email, password: NewPassword, name: Name },
  { $id: 'SignUp', additionalProperties: false },
)

export const LogInBody = Type.Object(
  { email: Email, password: Password },
  { $id: 'LogIn', additionalProperties: false },
)

export const RefreshBody = Type.Object(
  {
    refresh_token: Type.String({
      minLength: 1,
      maxLength: 512,
      description: 'From the latest session answer',
      examples: ['AZq9LzB3fzyUVbH2c3p0aAAAAAF1c2VkIGFzIGFuIGV4YW1wbGUgb2YgYSB0b2tlbg'],
    }),
  },
  { $id: 'Refresh', additionalProperties: false },
)

export const LogOutBody = Type.Object(
  {
    scope: Type.Optional(
      Type.Unsafe<'current' | 'others' | 'all'>({
        type: 'string',
        enum: ['current', 'others', 'all'],
        default: 'current',
        description: "Which of the user's sessions end: this one, all but this one, all",
      }),
    ),
  },
  { $id: 'LogOut', additionalProperties: false },
)

export const schemas = [UserSchema, SessionSchema, SignUpBody, LogInBody, RefreshBody, LogOutBody]
