import { randomUUID } from 'node:crypto'
import { givenBy, type Resolve, type Schema, schemaOf, typeOf } from './schema.ts'

/** How much of an object is made. */
export type Extent = 'all' | 'required'

/** A value that a schema allows. Best effort: patterns and combinations of schemas are not solved. */
export function sampleOf(source: unknown, resolve: Resolve, extent: Extent = 'all', depth = 0): unknown {
  const schema = schemaOf(source, resolve)
  const type = typeOf(schema)
  if (type !== 'object') {
    const [given] = givenBy(schema)
    if (given !== undefined) return given
  }
  switch (type) {
    case 'object':
      return objectOf(schema, resolve, extent, depth)
    case 'array':
      return arrayOf(schema, resolve, extent, depth)
    case 'boolean':
      return false
    case 'integer':
    case 'number':
      return numberOf(schema, type === 'integer')
    case 'null':
      return null
    default:
      return stringOf(schema)
  }
}

function objectOf(schema: Schema, resolve: Resolve, extent: Extent, depth: number): unknown {
  const [given] = [schema.example, ...(Array.isArray(schema.examples) ? schema.examples : [])]
  if (given !== undefined && extent === 'all') return given
  const entries = Object.entries(schema.properties ?? {}).filter(([name, property]) => {
    if (schemaOf(property, resolve).readOnly) return false
    // Deep in a schema that contains itself, only what must be.
    return schema.required?.includes(name) || (extent === 'all' && depth < 3)
  })
  if (depth > 8) return {}
  return Object.fromEntries(
    entries.map(([name, property]) => [name, sampleOf(property, resolve, extent, depth + 1)]),
  )
}

function arrayOf(schema: Schema, resolve: Resolve, extent: Extent, depth: number): unknown[] {
  const { prefixItems, items, minItems = 0 } = schema
  if (prefixItems) return prefixItems.map((item) => sampleOf(item, resolve, extent, depth + 1))
  return Array.from({ length: Math.min(minItems, 100) }, () => sampleOf(items, resolve, extent, depth + 1))
}

function numberOf(schema: Schema, integer: boolean): number {
  const step = schema.multipleOf ?? (integer ? 1 : 0.5)
  // OpenAPI 3.0 has a boolean beside `minimum`, 3.1 a number of its own.
  const above = typeof schema.exclusiveMinimum === 'number' ? schema.exclusiveMinimum : undefined
  const below = typeof schema.exclusiveMaximum === 'number' ? schema.exclusiveMaximum : schema.maximum
  const bottom = above ?? schema.minimum
  if (bottom === undefined) {
    const one = Math.max(1, step)
    return below !== undefined && below <= one ? (Math.ceil(below / step) - 1) * step : one
  }
  const exclusive = above !== undefined || schema.exclusiveMinimum === true
  const first = Math.ceil(bottom / step) * step
  return exclusive && first <= bottom ? first + step : first
}

const formats: Readonly<Record<string, () => string>> = {
  date: () => '2030-01-31',
  'date-time': () => '2030-01-31T12:00:00Z',
  time: () => '12:00:00Z',
  duration: () => 'P1D',
  uuid: () => randomUUID(),
  email: () => `prove-${randomUUID().slice(0, 8)}@example.com`,
  uri: () => 'https://example.com/',
  url: () => 'https://example.com/',
  hostname: () => 'example.com',
  ipv4: () => '192.0.2.1',
  ipv6: () => '2001:db8::1',
  byte: () => 'cHJvdmU=',
}

/** Tried against a pattern, in this order. */
const texts = [
  'prove',
  'Prove',
  'PROVE',
  'a',
  'A',
  '1',
  '10',
  'a1',
  'abc-def',
  '#aabbcc',
  '+12025550123',
  'ABC',
]

function stringOf({ format = '', pattern, minLength = 0, maxLength = 1_000 }: Schema): string {
  const made = formats[format]?.()
  if (made !== undefined) return made
  const text = 'prove'.padEnd(Math.min(minLength, 10_000), 'x').slice(0, maxLength)
  if (pattern === undefined) return text
  const others = [...texts, ...Object.values(formats).map((make) => make())]
  const fits = ({ length }: string) => length >= minLength && length <= maxLength
  return [text, ...others].filter(fits).find((each) => matches(pattern, each)) ?? text
}

/** Whether a text matches a pattern of ECMA-262; true where the pattern is none of it. */
export function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return true
  }
}
