/**
 * The floor: a hand-written server with the same responses. node:http, the token's signature by node:crypto, one
 * prepared statement through `pg`, JSON concatenated as text. No framework, schema, log or limit, and only necessary
 * headers.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { verify as verifyPassword } from 'argon2'
import pLimit from 'p-limit'
import { openFloorDatabase, type Row } from './database.ts'
import { refreshBy } from './refresh.ts'
import { type Claims, tokenCheck } from './token.ts'

const query = await openFloorDatabase(process.env)
const check = tokenCheck(process.env)
const refresh = refreshBy(query, process.env)
const hashing = pLimit(Number(process.env['HASH_CONCURRENCY']))
const hash = process.env['PASSWORD_HASH'] ?? ''

const columns = 'id, user_id, title, description, completed, version, created_at, updated_at'
const statements = {
  list: `select ${columns} from tasks where user_id = $1 and id > $2 order by id limit $3`,
  read: `select ${columns} from tasks where user_id = $1 and id = $2`,
  create: `insert into tasks (user_id, title, description, completed) values ($1, $2, $3, $4) returning ${columns}`,
  me: 'select id, email, name, email_verified, created_at from users where id = $1',
}

function taskJson(row: Row): string {
  return `{"id":${row['id']},"user_id":"${row['user_id']}","title":${JSON.stringify(row['title'])},"description":${JSON.stringify(row['description'])},"completed":${row['completed']},"created_at":"${row['created_at']}","updated_at":"${row['updated_at']}"}`
}

function send(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}) {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}

async function list(response: ServerResponse, { sub }: Claims, url: URL): Promise<void> {
  const limit = Number(url.searchParams.get('limit'))
  const rows = await query('list', statements.list, [
    sub,
    Number(url.searchParams.get('cursor') ?? 0),
    limit + 1,
  ])
  const page = rows.slice(0, limit)
  const next = `<${url.pathname}?limit=${limit}&cursor=${page.at(-1)?.['id']}>; rel="next"`
  send(response, 200, `[${page.map(taskJson).join(',')}]`, rows.length > limit ? { link: next } : {})
}

async function create(request: IncomingMessage, response: ServerResponse, { sub }: Claims): Promise<void> {
  const { title, description = null, completed = false } = await bodyOf(request)
  if (typeof title !== 'string' || title.length < 1 || title.length > 200)
    return send(response, 400, '{"code":"validation_failed"}')
  const [row = {}] = await query('create', statements.create, [sub, title, description, completed])
  send(response, 201, taskJson(row), {
    location: `/api/${sub}/tasks/${row['id']}`,
    etag: `"${row['version']}"`,
  })
}

async function read(response: ServerResponse, { sub }: Claims, id: string): Promise<void> {
  const [row] = await query('read', statements.read, [sub, Number(id)])
  if (!row) return send(response, 404, '{"code":"task_not_found"}')
  send(response, 200, taskJson(row), { etag: `"${row['version']}"` })
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', 'http://latchkey.test')
  if (url.pathname === '/health/ready') return send(response, 200, '{}')
  if (url.pathname === '/argon2') {
    const { password } = await bodyOf(request)
    return send(response, 200, String(await hashing(() => verifyPassword(hash, String(password)))))
  }
  if (url.pathname === '/api/auth/refresh') return send(response, 200, await refresh(await bodyOf(request)))
  const user = check(request.headers.authorization)
  if (!user)
    return send(response, 401, '{"code":"unauthorized","detail":"Could not validate credentials"}', {
      'www-authenticate': 'Bearer error="invalid_token"',
    })
  const [, , owner, , id] = url.pathname.split('/')
  if (url.pathname === '/api/auth/me') {
    const [row] = await query('me', statements.me, [user.sub])
    return send(response, 200, JSON.stringify(row))
  }
  if (owner !== user.sub) return send(response, 403, '{"code":"not_owner"}')
  if (request.method === 'POST') return create(request, response, user)
  return id === undefined ? list(response, user, url) : read(response, user, id)
}

createServer((request, response) => {
  answer(request, response).catch((error) => send(response, 500, String(error)))
}).listen(Number(process.env['PORT']), '127.0.0.1')

process.on('SIGTERM', () => process.exit())
