import Fastify, { type FastifyInstance } from 'fastify'
import { type LatchkeyAuthOptions, latchkeyAuth } from 'latchkey/auth'

type Note = { readonly text: string }
const noteSchema = { type: 'object', required: ['text'], properties: { text: { type: 'string' } } }

/** Keeps each user's notes in memory. Latchkey manages the users. */
export async function notesService(trust: LatchkeyAuthOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(latchkeyAuth, trust) // awaited, and before the routes

  const notes = new Map<string, Note[]>()

  app.get('/', { config: { access: 'public' } }, async () => ({ service: 'notes' }))

  app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({
    greeting: `Hello ${user?.sub ?? 'stranger'}`,
  }))

  app.get('/api/:user_id/notes', { config: { access: 'owner' } }, async ({ owner }) => notes.get(owner) ?? [])

  app.post<{ Body: Note }>(
    '/api/:user_id/notes',
    { config: { access: 'owner' }, schema: { body: noteSchema } },
    async ({ owner, body: { text } }, reply) => {
      notes.set(owner, [...(notes.get(owner) ?? []), { text }])
      return reply.code(201).send({ text })
    },
  )

  return app
}

if (import.meta.filename === process.argv[1]) {
  const { LATCHKEY_URL = 'http://127.0.0.1:8000', SECRET_KEY, PORT = '8001' } = process.env
  const app = await notesService({ latchkeyUrl: LATCHKEY_URL, ...(SECRET_KEY ? { secret: SECRET_KEY } : {}) })
  process.stdout.write(`Notes listen on ${await app.listen({ port: Number(PORT) })}\n`)
}
