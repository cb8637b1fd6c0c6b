import type { OpenApiDocument } from './document.ts'
import { CannotProve } from './refusal.ts'

export const methods = ['get', 'head', 'post', 'put', 'patch', 'delete'] as const
export type Method = Uppercase<(typeof methods)[number]>

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header' | 'cookie'
  readonly required: boolean
  readonly schema: unknown
  /** Of the parameter itself, which come before its schema's. */
  readonly examples: readonly unknown[]
}

export interface RequestBody {
  readonly mediaType: string
  readonly schema: unknown
  readonly examples: readonly unknown[]
  readonly required: boolean
}

/** Where an operation's token goes. */
export interface TokenPlace {
  readonly in: 'header' | 'cookie'
  readonly name: string
  readonly scheme: string
}

export interface Operation {
  /** `GET /api/{user_id}/tasks` */
  readonly name: string
  readonly method: Method
  /** The template. */
  readonly path: string
  readonly operationId: string | undefined
  readonly parameters: readonly Parameter[]
  readonly body: RequestBody | undefined
  readonly place: TokenPlace
  /** Whether the document declares that no token is needed. */
  readonly isPublic: boolean
  /** Path of the server that the document has for it, without a slash at its end. */
  readonly serverPath: string
}

type Fields = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Names of the parameters of a path template, in order. */
export const parametersOf = (path: string) => [...path.matchAll(/\{([^{}]+)\}/g)].map(([, name = '']) => name)

/** `user_id`, `userId` and `user-id` are one name. */
export const plain = (name: string) => name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()

/** All operations of a document. */
export function operationsOf({ root, resolve }: OpenApiDocument): Operation[] {
  const paths = root['paths'] as Fields
  return Object.entries(paths).flatMap(([path, value]) => {
    const item = resolve(value)
    if (!path.startsWith('/') || !isObject(item)) return []
    return methods.flatMap((lower) => {
      const operation = item[lower]
      if (!isObject(operation)) return []
      const method = lower.toUpperCase() as Method
      const { operationId, security = root['security'] } = operation
      const servers = [operation['servers'], item['servers'], root['servers']].find(
        (list) => listOf(list).length > 0,
      )
      return {
        name: `${method} ${path}`,
        method,
        path,
        operationId: typeof operationId === 'string' ? operationId : undefined,
        parameters: mergedParameters(item, operation),
        body: bodyOf(operation['requestBody']),
        place: placeOf(security),
        isPublic:
          Array.isArray(security) &&
          security.every((each) => isObject(each) && Object.keys(each).length === 0),
        serverPath: serverPathOf(listOf(servers)[0]),
      }
    })
  })

  function mergedParameters(item: Fields, operation: Fields): Parameter[] {
    const merged = new Map<string, Parameter>()
    for (const value of [...listOf(item['parameters']), ...listOf(operation['parameters'])]) {
      const parameter = resolve(value)
      if (!isObject(parameter)) continue
      const { name, in: where, required, schema, example } = parameter
      if (typeof name !== 'string' || !['path', 'query', 'header', 'cookie'].includes(String(where))) continue
      const content = isObject(parameter['content']) ? Object.values(parameter['content'])[0] : undefined
      const media = isObject(content) ? content : {}
      merged.set(`${where} ${name}`, {
        name,
        in: where as Parameter['in'],
        required: required === true || where === 'path',
        schema: schema ?? media['schema'],
        examples: [
          ...(example === undefined ? [] : [example]),
          ...examplesOf(parameter),
          ...examplesOf(media),
        ],
      })
    }
    return [...merged.values()]
  }

  function bodyOf(value: unknown): RequestBody | undefined {
    const body = resolve(value)
    if (!isObject(body) || !isObject(body['content'])) return undefined
    const types = Object.keys(body['content'])
    const forms = ['application/x-www-form-urlencoded', 'multipart/form-data']
    const mediaType =
      types.find((type) => /^application\/json\b/i.test(type)) ??
      types.find((type) => /json/i.test(type)) ??
      types.find((type) => forms.includes(type)) ??
      types[0]
    if (mediaType === undefined) return undefined
    const media = resolve(body['content'][mediaType])
    if (!isObject(media)) return undefined
    const { schema, example } = media
    return {
      mediaType,
      schema,
      examples: [...(example === undefined ? [] : [example]), ...examplesOf(media)],
      required: body['required'] === true,
    }
  }

  function examplesOf({ examples }: Fields): unknown[] {
    if (!isObject(examples)) return []
    return Object.values(examples).flatMap((each) => {
      const example = resolve(each)
      return isObject(example) && example['value'] !== undefined ? [example['value']] : []
    })
  }

  function placeOf(security: unknown): TokenPlace {
    const components = resolve(root['components'])
    const known = isObject(components) ? resolve(components['securitySchemes']) : {}
    const schemes = listOf(security)
      .flatMap((requirement) => (isObject(requirement) ? Object.keys(requirement) : []))
      .map((name) => resolve(isObject(known) ? known[name] : undefined))
      .filter(isObject)
    const key = schemes.find(
      ({ type, in: where }) => type === 'apiKey' && (where === 'header' || where === 'cookie'),
    )
    const bearer = schemes.some(({ type }) => type !== 'apiKey')
    if (!key || bearer) return { in: 'header', name: 'authorization', scheme: 'Bearer ' }
    const name = String(key['name'])
    const scheme = name.toLowerCase() === 'authorization' ? 'Bearer ' : ''
    return { in: key['in'] as TokenPlace['in'], name, scheme }
  }
}

function serverPathOf(server: unknown): string {
  if (!isObject(server) || typeof server['url'] !== 'string') return ''
  const variables = isObject(server['variables']) ? server['variables'] : {}
  const url = server['url'].replace(/\{([^{}]+)\}/g, (_, name: string) => {
    const variable = variables[name]
    return isObject(variable) ? String(variable['default']) : ''
  })
  try {
    return new URL(url, 'http://server.invalid/').pathname.replace(/\/+$/, '')
  } catch {
    return ''
  }
}

/**
 * The parameter that is the owner: the given one, or whatever spelling of `user_id` the document has.
 * @throws CannotProve that names the parameters there are
 */
export function ownerParameterOf(operations: readonly Operation[], given: string | undefined): string {
  const names = [...new Set(operations.flatMap(({ path }) => parametersOf(path)))]
  const found = names.find((name) => (given === undefined ? plain(name) === 'userid' : name === given))
  if (found !== undefined) return found
  const others = names.length > 0 ? `; paths have ${names.map((name) => `{${name}}`).join(', ')}` : ''
  throw new CannotProve(`no path has the owner {${given ?? 'user_id'}}${others}: name it with --owner-param`)
}
