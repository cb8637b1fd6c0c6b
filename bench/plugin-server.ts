/**
 * A server with the first PLUGINS plugins of src/app.ts: what each costs is the difference to the server with one
 * fewer. All of them answer the same 20 tasks from memory.
 */
import { randomUUID } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { latchkeyAuth } from '../plugins/auth.ts'
import contract from '../plugins/contract/index.ts'
import { OwnerParams, Ref } from '../plugins/contract/schemas.ts'
import connections from '../plugins/http/connections.ts'
import framing from '../plugins/http/framing.ts'
import securityHeaders from '../plugins/http/security-headers.ts'
import validation from '../plugins/http/validation.ts'
import rateLimit from '../plugins/limits/address.ts'
import requestLog from '../plugins/log/request-log.ts'
import pressure from '../plugins/pressure.ts'
import errors from '../plugins/problems/errors.ts'
import notFound from '../plugins/problems/not-found.ts'
import { schemasOf } from '../routes/api/owned/schemas.ts'
import { budgets } from '../src/limits/budgets.ts'
import taskResource from '../src/resources/tasks.ts'
import { issuer, reader } from './plugin-costs.ts'
import { secret } from './seed.ts'

const at = new Date().toISOString()
const tasks = Array.from({ length: 20 }, (_, index) => ({
  id: index + 1,
  user_id: reader,
  title: `Task number ${index + 1}`,
  description: 'Two litres of milk, and bread',
  completed: false,
  created_at: at,
  updated_at: at,
}))

let schema: object = {}
let config: object = {}

type Step = (app: FastifyInstance) => unknown

/** In the order of bench/plugin-costs.ts. */
const steps: Step[] = [
  () => {},
  (app) => {
    const { Item, ListQuery } = schemasOf(taskResource)
    app.addSchema(Item)
    schema = { params: OwnerParams, querystring: ListQuery, response: { 200: Type.Array(Ref(Item)) } }
  },
  (app) => app.register(connections),
  (app) => app.register(requestLog),
  (app) => app.register(securityHeaders),
  (app) => app.register(framing),
  (app) => app.register(validation),
  async (app) => {
    await app.register(contract)
    await app.register(rateLimit, { budgets, byAddress: false })
    await app.register(errors)
  },
  (app) => app.register(pressure, { maxDelay: 1_000 }),
  (app) => app.register(notFound),
  async (app) => {
    await app.register(latchkeyAuth, { latchkeyUrl: issuer, secret })
    config = { access: 'owner' }
  },
]

const plugins = Number(process.env['PLUGINS'])
const app = Fastify({
  ...(plugins >= 3 ? { logger: { level: 'info' }, genReqId: () => randomUUID() } : {}),
  logController: new LogController({ disableRequestLogging: true }),
})
for (const step of steps.slice(0, plugins + 1)) await step(app)
app.get('/api/:user_id/tasks', { schema, config }, async () => tasks)
app.get('/health/ready', { config: { access: 'public' } }, async () => ({ status: 'ok' }))
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) })
process.on('SIGTERM', () => process.exit())
