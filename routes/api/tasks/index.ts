import { Type } from '@sinclair/typebox'
import { etagHeader } from '../../../plugins/contract/conditional.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { OwnerParams, Ref } from '../../../plugins/contract/schemas.ts'
import { etagOf } from '../../../src/http/etag.ts'
import { createTask } from '../../../src/tasks/creation.ts'
import { listOwnedTasks } from '../../../src/tasks/repository.ts'
import { ListQuery, NewTaskBody, schemas, TaskSchema } from './schemas.ts'
import oneTaskRoutes from './task/index.ts'

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

  await app.register(oneTaskRoutes, { prefix: '/:task_id' })

  /** With the path of PUBLIC_URL, so that links work behind a gateway that strips a prefix. */
  function pathOf(userId: string, taskId?: number): string {
    const tasks = `${basePath}/api/${encodeURIComponent(userId)}/tasks`
    return taskId === undefined ? tasks : `${tasks}/${taskId}`
  }
}
