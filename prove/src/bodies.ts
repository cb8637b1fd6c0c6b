import { randomBytes } from 'node:crypto'
import { matches, sampleOf } from './generate.ts'
import { plain, type RequestBody } from './operations.ts'
import { type Resolve, type Schema, schemaOf, typeOf } from './schema.ts'

type Fields = Readonly<Record<string, unknown>>

/** A body and the text in it by which what was made of it is recognized; null where it has room for none. */
export interface Content {
  readonly value: unknown
  readonly marker: string | null
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const ownerNames = [
  'userid',
  'ownerid',
  'owner',
  'user',
  'accountid',
  'authorid',
  'creatorid',
  'createdby',
  'sub',
]

/** Bodies to try, the likeliest first: the document's examples, then what the schema allows, last the least of it. */
export function candidatesFor({ schema, examples }: RequestBody, resolve: Resolve): unknown[] {
  const made = (['all', 'required'] as const).map((extent) => sampleOf(schema, resolve, extent))
  const all = [...examples, ...made].filter((value) => value !== undefined)
  const distinct = new Map(all.map((value) => [JSON.stringify(value), value]))
  return [...distinct.values()]
}

/** The fields of a body in which a client could name an owner. */
export function ownerFieldsOf(body: RequestBody, ownerParam: string, resolve: Resolve): string[] {
  const properties = Object.entries(schemaOf(body.schema, resolve).properties ?? {})
  return properties
    .filter(([name, property]) => {
      const type = typeOf(schemaOf(property, resolve))
      const scalar = type === undefined || ['string', 'integer', 'number'].includes(type)
      return scalar && (ownerNames.includes(plain(name)) || plain(name) === plain(ownerParam))
    })
    .map(([name]) => name)
}

/** An id as the schema of a field has it: of an integer, a number. */
export function typedId(id: string, property: unknown, resolve: Resolve): string | number {
  const type = typeOf(schemaOf(property, resolve))
  return (type === 'integer' || type === 'number') && /^-?\d{1,15}$/.test(id) ? Number(id) : id
}

/** The body with an id in some of its fields. */
export function withIds(
  value: unknown,
  ids: ReadonlyMap<string, string>,
  body: RequestBody,
  resolve: Resolve,
): unknown {
  if (!isFields(value)) return value
  const properties = schemaOf(body.schema, resolve).properties ?? {}
  const fields = [...ids].map(([name, id]) => [name, typedId(id, properties[name], resolve)])
  return { ...value, ...Object.fromEntries(fields) }
}

/**
 * A copy whose free texts are new, so that it is recognized, and unique where a service asks for that; without room for
 * a text, one whose other values differ.
 */
export function varied(value: unknown, body: RequestBody, resolve: Resolve): Content {
  const marker = `prove-${randomBytes(4).toString('hex')}`
  const schema = schemaOf(body.schema, resolve)
  const copy = variedBy(value, schema, resolve, marker, 0)
  if (JSON.stringify(copy)?.includes(marker)) return { value: copy, marker }
  return { value: isFields(value) ? alternated(value, schema, resolve) : value, marker: null }
}

/** Fields with another value that their schemas allow: the next of an enumeration, the other boolean, another number. */
function alternated(fields: Fields, { properties = {} }: Schema, resolve: Resolve): Fields {
  const entries = Object.entries(fields).map(([name, value]) => {
    const schema = schemaOf(properties[name], resolve)
    const { enum: values, minimum = -Infinity, maximum = Infinity, multipleOf: step = 1 } = schema
    const isReference = plain(name).endsWith('id')
    if (values) return [name, values[(values.indexOf(value) + 1) % values.length]]
    if (typeof value === 'boolean') return [name, !value]
    if (typeof value !== 'number' || isReference || schema.const !== undefined) return [name, value]
    return [name, [value + step, value - step].find((each) => each >= minimum && each <= maximum) ?? value]
  })
  return Object.fromEntries(entries)
}

function variedBy(value: unknown, schema: Schema, resolve: Resolve, marker: string, depth: number): unknown {
  if (depth > 6) return value
  if (Array.isArray(value)) {
    const items = schemaOf(schema.items, resolve)
    return value.map((item) => variedBy(item, items, resolve, marker, depth + 1))
  }
  if (isFields(value)) {
    const entries = Object.entries(value).map(([name, field]) => {
      const property = schema.properties?.[name]
      const known = property === undefined ? undefined : schemaOf(property, resolve)
      const isReference = /(id|password|token|secret)$/i.test(name)
      return [name, isReference ? field : variedBy(field, known ?? {}, resolve, marker, depth + 1)]
    })
    return Object.fromEntries(entries)
  }
  return typeof value === 'string' ? (markedText(value, schema, marker) ?? value) : value
}

/** A text with the marker in it, if the schema leaves room; an e-mail address keeps its form. */
function markedText(text: string, schema: Schema, marker: string): string | undefined {
  const { format, pattern, maxLength = 10_000 } = schema
  if (schema.enum || schema.const !== undefined) return undefined
  if (format === 'email' || /^[^@\s]+@[^@\s]+\.[a-z]+$/i.test(text)) return `${marker}@example.com`
  if (format !== undefined && format !== 'password' && format !== 'text') return undefined
  // Without a schema only what reads as words: a date or a URL would become invalid.
  if (typeOf(schema) === undefined && !/^[\p{L}][\p{L}\p{N} ,.!?'-]*$/u.test(text)) return undefined
  const room = maxLength - marker.length - 1
  const choices = [...(room > 0 ? [`${text.slice(0, room)} ${marker}`] : []), marker]
  return choices.find((each) => each.length <= maxLength && (pattern === undefined || matches(pattern, each)))
}

/** The value as it goes out in the body's media type, and the headers with it. */
export function encoded(
  value: unknown,
  { mediaType }: RequestBody,
): { readonly body: string | FormData; readonly headers: Readonly<Record<string, string>> } {
  if (/json/i.test(mediaType)) return { body: JSON.stringify(value), headers: { 'content-type': mediaType } }
  const fields = isFields(value) ? Object.entries(value) : []
  const asText = (field: unknown) => (typeof field === 'object' ? JSON.stringify(field) : String(field))
  const pairs = fields.map(([name, field]): [string, string] => [name, asText(field)])
  if (mediaType === 'multipart/form-data') {
    const form = new FormData()
    for (const [name, field] of pairs) form.set(name, field)
    return { body: form, headers: {} }
  }
  if (mediaType === 'application/x-www-form-urlencoded')
    return { body: String(new URLSearchParams(pairs)), headers: { 'content-type': mediaType } }
  return {
    body: typeof value === 'string' ? value : JSON.stringify(value),
    headers: { 'content-type': mediaType },
  }
}

/** The fields in which an answer calls a user the owner: of its object, or of the only one that it wraps. */
export function ownerFieldsIn(json: unknown, id: string): string[] {
  if (!isFields(json)) return []
  const names = Object.entries(json)
    .filter(([name, value]) => ownerNames.includes(plain(name)) && String(value) === id)
    .map(([name]) => name)
  const wrapped = Object.values(json).filter(isFields)
  return names.length === 0 && wrapped.length === 1 ? ownerFieldsIn(wrapped[0], id) : names
}
