import { Type } from '@sinclair/typebox'
import { ownedResource } from '../owned/resource.ts'

export default ownedResource({
  name: 'tasks',
  one: 'task',
  description: 'The per-user resource',
  fields: {
    title: Type.String({ minLength: 1, maxLength: 200, examples: ['Buy milk'] }),
    description: Type.Optional(Type.String({ maxLength: 1000, examples: ['Two litres'] })),
    completed: Type.Boolean({ default: false, examples: [false] }),
  },
  filters: ['completed'],
  limit: ({ maxTasksPerUser }) => maxTasksPerUser,
  limitSetBy: 'MAX_TASKS_PER_USER',
})
