import { Type } from '@sinclair/typebox'
import { OwnerParams } from '../../../../plugins/contract/schemas.ts'

export const TaskParams = Type.Object({
  ...OwnerParams.properties,
  task_id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [1] }),
})
