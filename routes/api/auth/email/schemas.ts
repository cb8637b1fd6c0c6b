import { Type } from '@sinclair/typebox'
import { Email, MailedToken, Password } from '../schemas.ts'

export const VerifyEmailBody = Type.Object(
  { token: MailedToken },
  { $id: 'VerifyEmail', additionalProperties: false },
)

export const ResendBody = Type.Object({ email: Email }, { $id: 'Resend', additionalProperties: false })

export const ChangeEmailBody = Type.Object(
  { new_email: Email, password: Password },
  { $id: 'ChangeEmail', additionalProperties: false },
)

export const schemas = [VerifyEmailBody, ResendBody, ChangeEmailBody]
