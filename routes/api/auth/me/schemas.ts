import { Type } from '@sinclair/typebox'
import { Name, Password } from '../schemas.ts'

export const ProfileBody = Type.Object({ name: Name }, { $id: 'Profile', additionalProperties: false })

export const DeleteAccountBody = Type.Object(
  { password: Password },
  { $id: 'DeleteAccount', additionalProperties: false },
)

export const schemas = [ProfileBody, DeleteAccountBody]
