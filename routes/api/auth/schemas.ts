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

const NewPassword = Type.String({
  format: 'password',
  minLength: passwordLength.min,
  maxLength: passwordLength.max,
  description: 'In code points; kept as an argon2id hash of its NFC form, never truncated',
  examples: ['password123'],
})

/** A password that is only compared. An imported one may be longer than a new one may be. */
const Password = Type.String({ format: 'password', minLength: 1, maxLength: 1024, examples: ['password123'] })

const Name = Type.String({ minLength: 1, maxLength: 100, pattern: storable, examples: ['Test User'] })

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
    expires_at: Timestamp('When the access token ends'),
  },
  { $id: 'Session', description: 'A session that was opened, and its access token' },
)

export const SignUpBody = Type.Object(
  { email: Email, password: NewPassword, name: Name },
  { $id: 'SignUp', additionalProperties: false },
)

export const LogInBody = Type.Object(
  { email: Email, password: Password },
  { $id: 'LogIn', additionalProperties: false },
)

export const ProfileBody = Type.Object({ name: Name }, { $id: 'Profile', additionalProperties: false })

export const DeleteAccountBody = Type.Object(
  { password: Password },
  { $id: 'DeleteAccount', additionalProperties: false },
)

export const schemas = [UserSchema, SessionSchema, SignUpBody, LogInBody, ProfileBody, DeleteAccountBody]
