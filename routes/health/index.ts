import { Type } from '@sinclair/typebox'
import { sql } from 'kysely'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { Problem } from '../../src/problem.ts'

const Health = Type.Object({ status: Type.Literal('ok') }, { $id: 'Health' })
const tags = ['operations']

export default async function healthRoutes(app: RouteScope): Promise<void> {
  /** Single-flight: health checks have no rate limit, and a flood must not exhaust the pool. */
  let asked: Promise<unknown> | undefined
  const askDatabase = () => {
    asked ??= sql`select 1`.execute(app.db).finally(() => {
      asked = undefined
    })
    return asked
  }

  app.get(
    '/live',
    {
      config: { access: 'public', health: 'live' },
      schema: {
        operationId: 'getLiveness',
        tags,
        summary: 'Whether the process answers',
        response: { 200: { ...Health, description: 'It does' } },
      },
    },
    async (_request, reply) => reply.code(200).send({ status: 'ok' }),
  )

  app.get(
    '/ready',
    {
      config: { access: 'public', health: 'ready' },
      schema: {
        operationId: 'getReadiness',
        tags,
        summary: 'Whether requests should be sent here',
        description: '503 while the database is out of reach, and from the moment that the process drains.',
        response: { 200: { ...Health, description: 'They should' } },
      },
    },
    async (_request, reply) => {
      if (app.draining) throw new Problem('service_unavailable', { reason: 'draining' })
      await askDatabase()
      if (!app.revocations.current)
        throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
      return reply.code(200).send({ status: 'ok' })
    },
  )
}
