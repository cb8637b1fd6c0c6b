import { randomUUID } from 'node:crypto'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import { type LatchkeyAuthOptions, latchkeyAuth } from 'latchkey/auth'

type Note = { readonly id: string; readonly text: string }
type NotePath = { readonly user_id: string; readonly note_id: string }

const text = { type: 'string', maxLength: 1000 }
const bodySchema = { type: 'object', required: ['text'], additionalProperties: false, properties: { text } }
const noteSchema = { type: 'object', properties: { id: { type: 'string', format: 'uuid' }, text } }

// As the routes of a Latchkey declare it: an API key with the scope opens them, too.
const reads = { access: 'owner', scope: 'tasks:read' } as const
const writes = { access: 'owner', scope: 'tasks:write' } as const

/** Derives each operation's security from its access. */
const openapi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'Notes', version: '0.1.0' },
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
  },
  transform: ({ schema, url, route }) => {
    const bearer = { bearer: [] }
    const security = { public: [], optional: [{}, bearer], user: [bearer], owner: [bearer] }
    const access = (route.config?.access ?? 'public') as keyof typeof security
    return { url, schema: { ...schema, security: security[access] } }
  },
}

/** Keeps each user's notes in memory. Latchkey manages the users. */
export async function notesService(trust: LatchkeyAuthOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(swagger, openapi)
  await app.register(latchkeyAuth, trust) // awaited, and before the routes

  const notes = new Map<string, Note[]>()

  app.get('/', { config: { access: 'public' } }, async () => ({ service: 'notes' }))

  app.get('/openapi.json', { config: { access: 'public' } }, async () => app.swagger())

  app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({
    greeting: `Hello ${user?.sub ?? 'stranger'}`,
  }))

  app.get('/api/:user_id/notes', { config: reads }, async ({ owner }) => notes.get(owner) ?? [])

  app.post<{ Body: Pick<Note, 'text'> }>(
    '/api/:user_id/notes',
    { config: writes, schema: { body: bodySchema, response: { 201: noteSchema } } },
    async ({ owner, body: { text } }, reply) => {
      const note = { id: randomUUID(), text }
      notes.set(owner, [...(notes.get(owner) ?? []), note])
      return reply.code(201).send(note)
    },
  )

  // Only among the notes of the owner: the id of another user's note finds nothing.
  app.get<{ Params: NotePath }>(
    '/api/:user_id/notes/:note_id',
    { config: reads },
    async ({ owner, params }, reply) => {
      const found = notes.get(owner)?.find(({ id }) => id === params.note_id)
      return found ?? reply.code(404).send({ error: 'there is no such note' })
    },
  )

  app.delete<{ Params: NotePath }>(
    '/api/:user_id/notes/:note_id',
    { config: writes },
    async ({ owner, params }, reply) => {
      const kept = (notes.get(owner) ?? []).filter(({ id }) => id !== params.note_id)
      if (kept.length === (notes.get(owner) ?? []).length)
        return reply.code(404).send({ error: 'there is no such note' })
      notes.set(owner, kept)
      return reply.code(204).send()
    },
  )

  return app
}

if (import.meta.filename === process.argv[1]) {
  const { LATCHKEY_URL = 'http://127.0.0.1:8000', SECRET_KEY, PORT = '8001' } = process.env
  const app = await notesService({ latchkeyUrl: LATCHKEY_URL, ...(SECRET_KEY ? { secret: SECRET_KEY } : {}) })
  process.stdout.write(`Notes listen on ${await app.listen({ port: Number(PORT) })}\n`)
}
