import { Type } from '@sinclair/typebox'
import { ConditionalHeaders, etagHeader } from '../../../../plugins/contract/conditional.ts'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { etagOf, preconditionsOf, refusalOf } from '../../../../src/http/etag.ts'
import { Problem } from '../../../../src/problem.ts'
import { changeTask, removeTask } from '../../../../src/tasks/conditional-writes.ts'
import { findOwnedTask } from '../../../../src/tasks/repository.ts'
import { TaskChangesBody, TaskSchema } from '../schemas.ts'
import { TaskParams } from './schemas.ts'

const tags = ['tasks']

export default async function oneTaskRoutes(app: RouteScope): Promise<void> {
  app.get(
    '',
    {
      config: { access: 'owner', scope: 'tasks:read', problems: ['task_not_found', 'precondition_failed'] },
      schema: {
        operationId: 'getTask',
        tags,
        summary: 'Read a task',
        params: TaskParams,
        headers: ConditionalHeaders,
        response: {
          200: { ...Ref(TaskSchema), description: 'The task', headers: etagHeader },
          304: {
            // A null schema would set a Content-Type.
            ...Type.Unsafe<undefined>({ type: 'null' }),
            description: 'The task is at a version that `If-None-Match` names',
            headers: etagHeader,
          },
        },
      },
    },
    async (request, reply) => {
      const found = await findOwnedTask(app.db, request.owner, request.params.task_id)
      if (!found) throw new Problem('task_not_found')
      const refusal = refusalOf(preconditionsOf(request.headers), found.version)
      if (refusal === 'failed') throw new Problem('precondition_failed')
      reply.header('etag', etagOf(found.version))
      return refusal ? reply.code(304).send() : reply.code(200).send(found.task)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '',
      config: { access: 'owner', scope: 'tasks:write', problems: ['task_not_found', 'precondition_failed'] },
      schema: {
        operationId: method === 'PUT' ? 'updateTask' : 'patchTask',
        tags,
        summary: 'Change a task',
        description: 'Only the fields sent change; PUT and PATCH are the same.',
        params: TaskParams,
        headers: ConditionalHeaders,
        body: Ref(TaskChangesBody),
        response: { 200: { ...Ref(TaskSchema), description: 'The task as it is now', headers: etagHeader } },
      },
      handler: async (request, reply) => {
        const preconditions = preconditionsOf(request.headers)
        const { task_id: id } = request.params
        const { task, version } = await changeTask(app.db, request.owner, id, request.body, preconditions)
        return reply.header('etag', etagOf(version)).code(200).send(task)
      },
    })
  }

  app.delete(
    '',
    {
      config: { access: 'owner', scope: 'tasks:write', problems: ['task_not_found', 'precondition_failed'] },
      schema: {
        operationId: 'deleteTask',
        tags,
        summary: 'Delete a task',
        params: TaskParams,
        headers: ConditionalHeaders,
        response: { 204: { ...Type.Null(), description: 'The task is gone' } },
      },
    },
    async (request, reply) => {
      const preconditions = preconditionsOf(request.headers)
      await removeTask(app.db, request.owner, request.params.task_id, preconditions)
      return reply.code(204).send(null)
    },
  )
}
