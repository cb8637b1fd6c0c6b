import { plain } from './operations.ts'
import type { Answer } from './service.ts'

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const asId = (value: unknown): string | undefined =>
  (typeof value === 'string' && value !== '') || typeof value === 'number' ? String(value) : undefined

/**
 * The id of what a request has made, for the parameter of its path: by the Location header, else by the body.
 * @param path the template that ends with the parameter
 */
export function idOfMade({ headers, json }: Answer, path: string): string | undefined {
  return idByLocation(headers.get('location'), path) ?? idIn(json, path)
}

function idByLocation(location: string | null, path: string): string | undefined {
  if (location === null) return undefined
  const [before = '', last = ''] = path.split('/').slice(-2)
  if (!/^\{[^{}]+\}$/.test(last)) return undefined
  try {
    const segments = new URL(location, 'http://service.invalid/').pathname.split('/')
    const [found = '', id = ''] = segments.slice(-2)
    return id !== '' && (found === before || before.startsWith('{')) ? decodeURIComponent(id) : undefined
  } catch {
    return undefined
  }
}

/** The id in an object, or in the one that it wraps. */
function idIn(value: unknown, path: string): string | undefined {
  if (!isFields(value)) return undefined
  const parameter = path.slice(path.lastIndexOf('{') + 1, path.lastIndexOf('}'))
  const names = [plain(parameter), 'id', 'uuid', 'key', 'slug', 'name', 'number', 'code']
  for (const name of names) {
    const found = Object.entries(value).find(([field, each]) => plain(field) === name && asId(each))
    if (found) return asId(found[1])
  }
  const wrapped = Object.values(value).filter(isFields)
  const [only] = wrapped
  return wrapped.length === 1 ? idIn(only, path) : undefined
}

/** The ids in a list: an array, or the first one in an object. */
export function idsInList(json: unknown, path: string): string[] {
  const list = Array.isArray(json)
    ? json
    : isFields(json)
      ? Object.values(json).find(Array.isArray)
      : undefined
  return (list ?? []).flatMap((item: unknown) => idIn(item, path) ?? asId(item) ?? [])
}

/** A path template without the names of its parameters and the slash at its end, to compare. */
export const shapeOf = (path: string) => path.replace(/\{[^{}]+\}/g, '{}').replace(/(?<=.)\/+$/, '')

/** The template up to a parameter, and what comes before it. */
export function placeOfParameter(
  path: string,
  name: string,
): { readonly item: string; readonly collection: string } {
  const segments = path.split('/')
  const index = segments.findIndex((segment) => segment.includes(`{${name}}`))
  return { item: segments.slice(0, index + 1).join('/'), collection: segments.slice(0, index).join('/') }
}
