import { Type } from '@sinclair/typebox'
import { Nullable, safeIntegerPattern, Timestamp } from '../../../plugins/contract/schemas.ts'
import { storable } from '../../../src/db/storable.ts'

const Title = Type.String({ minLength: 1, maxLength: 200, pattern: storable, examples: ['Buy milk'] })
const Description = Nullable({ maxLength: 1000, pattern: storable, examples: ['Two litres'] })
const Completed = Type.Boolean({ examples: [false] })

export const TaskSchema = Type.Object(
  {
    id: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [1] }),
    user_id: Type.String({ description: 'The owner', examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'] }),
    title: Title,
    description: Description,
    completed: Completed,
    created_at: Timestamp('When the task was made'),
    updated_at: Timestamp('When the task last changed'),
  },
  { $id: 'Task' },
)

export const NewTaskBody = Type.Object(
  { title: Title, description: Type.Optional(Description), completed: Type.Optional(Completed) },
  { $id: 'NewTask', additionalProperties: false },
)

export const TaskChangesBody = Type.Object(
  {
    title: Type.Optional(Title),
    description: Type.Optional(Description),
    completed: Type.Optional(Completed),
  },
  { $id: 'TaskChanges', additionalProperties: false, minProperties: 1 },
)

export const ListQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100, default: 50, description: 'Most tasks in one answer' }),
    ),
    cursor: Type.Optional(
      Type.String({
        pattern: safeIntegerPattern,
        description: 'From the `next` link of an earlier answer',
        examples: ['20'],
      }),
    ),
    completed: Type.Optional(Type.Boolean({ description: 'Only tasks that are, or are not, completed' })),
  },
  { additionalProperties: false },
)

export const schemas = [TaskSchema, NewTaskBody, TaskChangesBody]
