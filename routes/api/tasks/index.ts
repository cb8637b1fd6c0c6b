import { Type } from '@sinclair/typebox'
import { ConditionalHeaders, etagHeader } from '../../../plugins/contract/conditional.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { OwnerParams, Ref } from '../../../plugins/contract/schemas.ts'
import { etagOf, preconditionsOf, refusalOf } from '../../../src/http/etag.ts'
import { Problem } from '../../../src/problem.ts'
import { changeTask, removeTask } from '../../../src/tasks/conditional-writes.ts'
import { createTask } from '../../../src/tasks/creation.ts'
import { findOwnedTask, listOwnedTasks } from '../../../src/tasks/repository.ts'
import { ListQuery, NewTaskBody, schemas, TaskChangesBody, TaskParams, TaskSchema } from './schemas.ts'

const tags = ['tasks']

interface TaskOptions {
  readonly basePath: string
  /** Tasks that a user may have. */
  readonly maxTasks: number
}

export default async function taskRoutes(
  app: RouteScope,
  { basePath, maxTasks }: TaskOptions,
): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'owner', scope: 'tasks:read' },
      schema: {
        operationId: 'listTasks',
        tags,
        summary: 'List tasks, oldest first',
        params: OwnerParams,
        querystring: ListQuery,
        response: {
          200: {
            ...Type.Array(Ref(TaskSchema)),
            description: 'A page of tasks in order of id',
            headers: {
              Link: { type: 'string', description: '`rel="next"` when there is more, RFC 8288' },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const { limit = 50, cursor, completed } = request.query
      const page = { limit, after: Number(cursor ?? 0), completed }
      const { tasks, more } = await listOwnedTasks(app.db, request.owner, page)
      const last = tasks.at(-1)
      if (more && last) {
        const query = new URLSearchParams({ limit: String(limit), cursor: String(last.id) })
        if (completed !== undefined) query.set('completed', String(completed))
        reply.header('link', `<${pathOf(request.params.user_id)}?${query}>; rel="next"`)
      }
      return reply.code(200).send(tasks)
    },
  )

  app.post(
    '',
    {
      config: {
        access: 'owner',
        scope: 'tasks:write',
        idempotent: true,
        problems: ['task_limit_reached'],
      },
      schema: {
        operationId: 'createTask',
        tags,
        summary: 'Create a task',
        params: OwnerParams,
        body: Ref(NewTaskBody),
        response: {
          201: {
            ...Ref(TaskSchema),
            description: 'The task was made',
            headers: { ...etagHeader, Location: { type: 'string', description: 'The path of the task' } },
          },
        },
      },
    },
    async (request, reply) => {
      const { title, description = null, completed = false } = request.body
      const wanted = { title, description, completed }
      const { task, version } = await createTask(app.db, request.owner, wanted, {
        keyed: request.keyed,
        max: maxTasks,
      })
      reply.header('location', pathOf(request.params.user_id, task.id)).header('etag', etagOf(version))
      return reply.code(201).send(task)
    },
  )

  app.get(
    '/:task_id',
    {
      config: {
        access: 'owner',
        scope: 'tasks:read',
        problems: ['task_not_found', 'precondition_failed'],
      },
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
      url: '/:task_id',
      config: {
        access: 'owner',
        scope: 'tasks:write',
        problems: ['task_not_found', 'precondition_failed'],
      },
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
    '/:task_id',
    {
      config: {
        access: 'owner',
        scope: 'tasks:write',
        problems: ['task_not_found', 'precondition_failed'],
      },
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

  /** With the path of PUBLIC_URL, so that links work behind a gateway that strips a prefix. */
  function pathOf(userId: string, taskId?: number): string {
    const tasks = `${basePath}/api/${encodeURIComponent(userId)}/tasks`
    return taskId === undefined ? tasks : `${tasks}/${taskId}`
  }
}
