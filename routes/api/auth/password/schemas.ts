import { Type } from '@sinclair/typebox'
import { Email, MailedToken, NewPassword, Password } from '../schemas.ts'

export const ChangePasswordBody = Type.Object(
  {
    current_password: Password,
    new_password: NewPassword,
    end_keys: Type.Optional(
      Type.Boolean({ default: false, description: 'Whether every API key of the account ends too' }),
    ),
  },
  { $id: 'ChangePassword', additionalProperties: false },
)

export const ForgotPasswordBody = Type.Object(
  { email: Email },
  { $id: 'ForgotPassword', additionalProperties: false },
)

export const ResetPasswordBody = Type.Object(
  { token: MailedToken, new_password: NewPassword },
  { $id: 'ResetPassword', additionalProperties: false },
)

export const schemas = [ChangePasswordBody, ForgotPasswordBody, ResetPasswordBody]
