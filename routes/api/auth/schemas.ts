import { Type } from '@sinclair/typebox'
import { Nullable, Ref, Timestamp } from '../../../plugins/contract/schemas.ts'
import { storable } from '../../../src/db/storable.ts'
import { passwordLength } from '../../../src/passwords/pool.ts'
import { emailPattern } from '../../../src/users/email.ts'

export const Email = Type.String({
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

/** For verification only: an imported password may be longer than a new one. */
export const Password = Type.String({
  format: 'password',
  minLength: 1,
  maxLength: 1024,
  examples: ['password123'],
})

export const Name = Type.String({ minLength: 1, maxLength: 100, pattern: storable, examples: ['Test User'] })

/** 43 characters of base64url; others are answered with invalid_token, not validation_failed. */
export const MailedToken = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'From the link in the mail: what follows `#token=`',
  examples: ['Jb3vTt1oC1jY3YtZm9yLWRvY3VtZW50YXRpb24tb25seSE'],
})

export const UserSchema = Type.Object(
  {
    id: Type.String({ description: 'Opaque', examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'] }),
    email: Nullable({
      format: 'email',
      description: "Null only for a trusted issuer's user whose token named none",
      examples: ['test@example.com'],
    }),
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

export const AcceptedSchema = Type.Object(
  { detail: Type.String({ description: 'What happens next, for a person' }) },
  { $id: 'Accepted', description: 'Asked for; what comes of it comes by mail' },
)

/** The same whether a mail is sent or not: the answer must not reveal an account. */
export const accepted = {
  signup: { detail: 'A mail to this address says how to go on' },
  forgot: { detail: 'If the address has an account, a mail to it says how to set a new password' },
  resend: { detail: 'If the address waits to be verified, a mail to it says how' },
  change: { detail: 'A mail to the new address says how to go on' },
}

export const SignUpBody = Type.Object(
  { email: Email, password: NewPassword, name: Name },
  { $id: 'SignUp', additionalProperties: false },
)

const refreshTokenText = {
  minLength: 1,
  maxLength: 512,
  examples: ['AZq9LzB3fzyUVbH2c3p0aAAAAAF1c2VkIGFzIGFuIGV4YW1wbGUgb2YgYSB0b2tlbg'],
}

export const LogInBody = Type.Object(
  {
    email: Email,
    password: Password,
    refresh_token: Type.Optional(
      Type.String({
        ...refreshTokenText,
        description:
          'The last one that this device has had of the account, of a session that may have ended: it shows that ' +
          'the device has logged in before. It opens nothing and is not used up; one that is not good changes nothing',
      }),
    ),
  },
  { $id: 'LogIn', additionalProperties: false },
)

export const RefreshBody = Type.Object(
  {
    refresh_token: Type.String({ ...refreshTokenText, description: 'From the latest session answer' }),
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

export const schemas = [
  UserSchema,
  SessionSchema,
  AcceptedSchema,
  SignUpBody,
  LogInBody,
  RefreshBody,
  LogOutBody,
]
