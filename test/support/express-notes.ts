import { randomUUID } from 'node:crypto'
import express, { type Request, type RequestHandler } from 'express'

/** What the service gets wrong; none: it is sound. */
export type ExpressHole =
  | 'none'
  | 'item of anybody'
  | 'owner from the body'
  | 'list of everybody'
  | 'parent only'

interface Note {
  readonly id: string
  readonly ownerId: string
  text: string
}

interface Comment {
  readonly id: string
  readonly noteId: string
  body: string
}

type Params = { userId: string; noteId: string; commentId: string }

/** Opaque tokens, as a session store gives them. */
export const expressTokens = { alice: `session/${randomUUID()}`, bob: `session/${randomUUID()}` } as const

const idParameter = (name: string) => ({ name, in: 'path', required: true, schema: { type: 'string' } })
const answers = { responses: { default: { description: 'An answer' } } }
const json = (schema: object) => ({ required: true, content: { 'application/json': { schema } } })

/** A document as a person writes it: OpenAPI 3.0, references, parameters of the path, a server with a prefix. */
export const expressDocument = {
  openapi: '3.0.3',
  info: { title: 'Notes on Express', version: '1' },
  servers: [{ url: 'https://notes.example.com/{version}', variables: { version: { default: 'v1' } } }],
  security: [{ session: [] }],
  paths: {
    '/users/{userId}/notes': {
      parameters: [{ $ref: '#/components/parameters/userId' }],
      get: { operationId: 'listNotes', ...answers },
      post: {
        operationId: 'createNote',
        requestBody: json({ $ref: '#/components/schemas/Note' }),
        ...answers,
      },
    },
    '/users/{userId}/notes/{noteId}': {
      parameters: [{ $ref: '#/components/parameters/userId' }, idParameter('noteId')],
      get: { operationId: 'readNote', ...answers },
      patch: {
        operationId: 'changeNote',
        requestBody: json({ $ref: '#/components/schemas/Note' }),
        ...answers,
      },
      delete: { operationId: 'deleteNote', ...answers },
    },
    '/users/{userId}/notes/{noteId}/comments': {
      parameters: [{ $ref: '#/components/parameters/userId' }, idParameter('noteId')],
      get: { operationId: 'listComments', ...answers },
      post: {
        operationId: 'createComment',
        requestBody: json({ $ref: '#/components/schemas/Comment' }),
        ...answers,
      },
    },
    '/users/{userId}/notes/{noteId}/comments/{commentId}': {
      parameters: [
        { $ref: '#/components/parameters/userId' },
        idParameter('noteId'),
        idParameter('commentId'),
      ],
      get: { operationId: 'readComment', ...answers },
      delete: { operationId: 'deleteComment', ...answers },
    },
    '/about': { get: { operationId: 'about', security: [], ...answers } },
  },
  components: {
    parameters: { userId: idParameter('userId') },
    securitySchemes: { session: { type: 'apiKey', in: 'header', name: 'X-Session' } },
    schemas: {
      Note: {
        type: 'object',
        required: ['text'],
        properties: {
          id: { type: 'string', readOnly: true },
          ownerId: { type: 'string' },
          text: { type: 'string' },
        },
        example: { text: 'Buy milk' },
      },
      Comment: {
        allOf: [
          {
            type: 'object',
            required: ['body'],
            properties: { body: { type: 'string', minLength: 3, maxLength: 40 } },
          },
        ],
      },
    },
  },
}

/** Notes with comments, by paths that have their owner. Every item has an id of its own in the whole service. */
export function expressNotes(hole: ExpressHole) {
  const users = new Map<string, string>(Object.entries(expressTokens).map(([name, token]) => [token, name]))
  const notes = new Map<string, Note>()
  const comments = new Map<string, Comment>()

  const guard: RequestHandler<Params> = (request, response, next) => {
    const user = users.get(request.get('x-session') ?? '')
    if (user === undefined) response.status(401).json({ error: 'log in first' })
    else if (user !== request.params.userId) response.status(403).json({ error: 'not yours' })
    else next()
  }
  const noteOf = ({ params: { userId, noteId } }: Request<Params>) => {
    const note = notes.get(noteId)
    return note && (note.ownerId === userId || hole === 'item of anybody') ? note : undefined
  }
  const commentOf = (request: Request<Params>) => {
    const comment = comments.get(request.params.commentId)
    const isInNote = comment?.noteId === request.params.noteId || hole === 'parent only'
    return comment && isInNote && noteOf(request) ? comment : undefined
  }

  const app = express()
  app.use(express.json())
  const router = express.Router({ mergeParams: true })
  router.get<Params>('/', (request, response) => {
    const all = [...notes.values()]
    response.json({
      items:
        hole === 'list of everybody' ? all : all.filter(({ ownerId }) => ownerId === request.params.userId),
    })
  })
  router.post<Params>('/', (request, response) => {
    const { text, ownerId } = request.body
    if (typeof text !== 'string') return void response.status(400).json({ error: 'text is missing' })
    const owner = hole === 'owner from the body' && ownerId ? ownerId : request.params.userId
    const note = { id: randomUUID(), ownerId: owner, text }
    notes.set(note.id, note)
    response.status(201).json({ note })
  })
  router.get<Params>('/:noteId', (request, response) => {
    const note = noteOf(request)
    if (note) response.json({ note })
    else response.sendStatus(404)
  })
  router.patch<Params>('/:noteId', (request, response) => {
    const note = noteOf(request)
    if (!note) return void response.sendStatus(404)
    note.text = request.body.text ?? note.text
    response.json({ note })
  })
  router.delete<Params>('/:noteId', (request, response) => {
    // Says the same of what is not there.
    const note = noteOf(request)
    if (note) notes.delete(note.id)
    response.sendStatus(204)
  })
  router.get<Params>('/:noteId/comments', (request, response) => {
    const note = noteOf(request)
    if (note) response.json([...comments.values()].filter(({ noteId }) => noteId === note.id))
    else response.sendStatus(404)
  })
  router.post<Params>('/:noteId/comments', (request, response) => {
    const note = noteOf(request)
    if (!note) return void response.sendStatus(404)
    const comment = { id: randomUUID(), noteId: note.id, body: String(request.body.body) }
    comments.set(comment.id, comment)
    response.status(201).location(`${request.originalUrl}/${comment.id}`).end()
  })
  router.get<Params>('/:noteId/comments/:commentId', (request, response) => {
    const comment = commentOf(request)
    if (comment) response.json(comment)
    else response.sendStatus(404)
  })
  router.delete<Params>('/:noteId/comments/:commentId', (request, response) => {
    const comment = commentOf(request)
    if (!comment) return void response.sendStatus(404)
    comments.delete(comment.id)
    response.sendStatus(204)
  })
  app.use('/v1/users/:userId/notes', guard, router)
  return { app, notes, comments }
}
