import { Type } from '@sinclair/typebox'
import { NewPassword, Password } from '../schemas.ts'

export const ChangePasswordBody = Type.Object(
  { current_password: Password, new_password: NewPassword },
  { $id: 'ChangePassword', additionalProperties: false },
)

export const schemas = [ChangePasswordBody]
