import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, RequestListener } from 'node:http'

/** What the service gets wrong; none: it is sound. */
export type FastApiHole = 'none' | 'DELETE unchecked' | 'token not verified' | 'writes before it refuses'

const key = 'the key of the service that is written for the test'
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const sign = (text: string) => createHmac('sha256', key).update(text).digest('base64url')

/** An HS256 token of a user by number, as a FastAPI tutorial makes it. */
export function fastApiToken(userId: number): string {
  const text = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url({ sub: String(userId) })}`
  return `${text}.${sign(text)}`
}

const validation = {
  description: 'Validation Error',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/HTTPValidationError' } } },
}
const answer = (status: number, schema: object) => ({
  [status]: { description: 'Successful Response', content: { 'application/json': { schema } } },
  422: validation,
})
const itemBody = {
  required: true,
  content: { 'application/json': { schema: { $ref: '#/components/schemas/ItemIn' } } },
}
const integer = (name: string, title: string) => ({
  name,
  in: 'path',
  required: true,
  schema: { type: 'integer', title },
})
const security = [{ OAuth2PasswordBearer: [] }]
const Item = { $ref: '#/components/schemas/Item' }
const onItems = { security, parameters: [integer('user_id', 'User Id')] }
const onItem = { security, parameters: [integer('user_id', 'User Id'), integer('item_id', 'Item Id')] }

/** openapi.json as FastAPI generates it. */
export const fastApiDocument = {
  openapi: '3.1.0',
  info: { title: 'FastAPI', version: '0.1.0' },
  paths: {
    '/users/{user_id}/items/': {
      get: {
        summary: 'List Items',
        operationId: 'list_items_users__user_id__items__get',
        ...onItems,
        responses: answer(200, { type: 'array', items: Item }),
      },
      post: {
        summary: 'Create Item',
        operationId: 'create_item_users__user_id__items__post',
        ...onItems,
        requestBody: itemBody,
        responses: answer(201, Item),
      },
    },
    '/users/{user_id}/items/{item_id}': {
      get: {
        summary: 'Read Item',
        operationId: 'read_item_users__user_id__items__item_id__get',
        ...onItem,
        responses: answer(200, Item),
      },
      put: {
        summary: 'Update Item',
        operationId: 'update_item_users__user_id__items__item_id__put',
        ...onItem,
        requestBody: itemBody,
        responses: answer(200, Item),
      },
      delete: {
        summary: 'Delete Item',
        operationId: 'delete_item_users__user_id__items__item_id__delete',
        ...onItem,
        responses: { 204: { description: 'Successful Response' }, 422: validation },
      },
    },
  },
  components: {
    schemas: {
      ItemIn: {
        properties: {
          title: { type: 'string', maxLength: 100, minLength: 1, title: 'Title' },
          price: { type: 'number', exclusiveMinimum: 0, title: 'Price' },
          tax: { anyOf: [{ type: 'number' }, { type: 'null' }], title: 'Tax' },
        },
        type: 'object',
        required: ['title', 'price'],
        title: 'ItemIn',
      },
      Item: {
        properties: {
          id: { type: 'integer', title: 'Id' },
          owner_id: { type: 'integer', title: 'Owner Id' },
          title: { type: 'string', title: 'Title' },
          price: { type: 'number', title: 'Price' },
        },
        type: 'object',
        required: ['id', 'owner_id', 'title', 'price'],
        title: 'Item',
      },
      HTTPValidationError: {
        properties: {
          detail: { items: { $ref: '#/components/schemas/ValidationError' }, type: 'array', title: 'Detail' },
        },
        type: 'object',
        title: 'HTTPValidationError',
      },
      ValidationError: {
        properties: {
          loc: {
            items: { anyOf: [{ type: 'string' }, { type: 'integer' }] },
            type: 'array',
            title: 'Location',
          },
          msg: { type: 'string', title: 'Message' },
          type: { type: 'string', title: 'Error Type' },
        },
        type: 'object',
        required: ['loc', 'msg', 'type'],
        title: 'ValidationError',
      },
    },
    securitySchemes: {
      OAuth2PasswordBearer: { type: 'oauth2', flows: { password: { scopes: {}, tokenUrl: 'token' } } },
    },
  },
}

interface Item {
  readonly id: number
  readonly owner_id: number
  title: string
  price: number
}

/** Items whose ids count from 1 for each user. The order of its checks is FastAPI's: dependencies, validation, handler. */
export function fastApiItems(hole: FastApiHole): { listener: RequestListener; items: Map<number, Item[]> } {
  const items = new Map<number, Item[]>()

  function handle(request: IncomingMessage, text: string): readonly [number, unknown?] {
    const [, users, user = '', kind, item = ''] = (request.url ?? '').split('?')[0]?.split('/') ?? []
    if (users !== 'users' || kind !== 'items') return [404, { detail: 'Not Found' }]
    const subject = subjectIn(request.headers.authorization)
    if (subject === undefined) return [401, { detail: 'Could not validate credentials' }]
    if (!/^\d+$/.test(user)) return [422, unprocessable('path', 'user_id')]
    if (item !== '' && !/^\d+$/.test(item)) return [422, unprocessable('path', 'item_id')]
    const { method } = request
    const body = method === 'POST' || method === 'PUT' ? parsed(text) : undefined
    if (body === null) return [422, unprocessable('body', 'title')]

    const owned = items.get(Number(user)) ?? []
    items.set(Number(user), owned)
    const found = owned.find(({ id }) => String(id) === item)
    if (hole === 'writes before it refuses' && method === 'PUT' && found && body) Object.assign(found, body)
    const isUnchecked = hole === 'DELETE unchecked' && method === 'DELETE'
    if (subject !== Number(user) && !isUnchecked) return [403, { detail: 'Not enough permissions' }]
    if (item === '') {
      if (method === 'GET') return [200, owned]
      if (method !== 'POST' || !body) return [405, { detail: 'Method Not Allowed' }]
      const last = owned.at(-1)?.id ?? 0
      owned.push({ id: last + 1, owner_id: Number(user), ...body })
      return [201, owned.at(-1)]
    }
    if (!found) return [404, { detail: 'Item not found' }]
    if (method === 'GET') return [200, found]
    if (method === 'PUT' && body) return [200, Object.assign(found, body)]
    if (method !== 'DELETE') return [405, { detail: 'Method Not Allowed' }]
    owned.splice(owned.indexOf(found), 1)
    return [204]
  }

  function subjectIn(authorization = ''): number | undefined {
    const [, header, payload = '', signature = ''] =
      /^Bearer ([^.]+)\.([^.]+)\.([^.]*)$/.exec(authorization) ?? []
    if (header === undefined) return undefined
    const [made, expected] = [Buffer.from(signature), Buffer.from(sign(`${header}.${payload}`))]
    const isSigned = made.length === expected.length && timingSafeEqual(made, expected)
    if (!isSigned && hole !== 'token not verified') return undefined
    return Number(JSON.parse(Buffer.from(payload, 'base64url').toString()).sub)
  }

  const listener: RequestListener = (request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (part) => {
      text += part
    })
    request.on('end', () => {
      const [status, value] = handle(request, text)
      const body = value === undefined ? undefined : JSON.stringify(value)
      response.writeHead(status, body === undefined ? {} : { 'content-type': 'application/json' }).end(body)
    })
  }
  return { listener, items }
}

/** Title and price, or null if they are none. */
function parsed(text: string): { title: string; price: number } | null {
  try {
    const { title, price } = JSON.parse(text)
    return typeof title === 'string' && title.length <= 100 && price > 0 ? { title, price } : null
  } catch {
    return null
  }
}

const unprocessable = (where: string, name: string) => ({
  detail: [{ type: 'missing', loc: [where, name], msg: 'Field required', input: null }],
})
