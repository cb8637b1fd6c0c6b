import fc, { type Arbitrary } from 'fast-check'
import { dereferenced, type JsonSchema } from './contract-file.ts'

/*
 * Inputs generated from the contract's schemas: valid ones, and what a broken or hostile client sends. A validator
 * decides afterwards which of the two a value is.
 */

/** Existing ids, tokens and addresses, by the name of a field or parameter. */
export type Known = Readonly<Record<string, unknown>>

const mark = 'known: '

/** Stands for a known value that does not exist yet when the case is generated. */
export const placeholderOf = (name: string): string => mark + name

const placeholder = (name: string): Arbitrary<string> => fc.constant(placeholderOf(name))

/** Replaces the placeholders in a text, or in the fields of an object. */
export function filled(value: unknown, known: Known): unknown {
  if (typeof value === 'string' && value.startsWith(mark)) return known[value.slice(mark.length)]
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, filled(field, known)]))
}

/** Values that a schema allows. Only the keywords used in the contract's requests are supported. */
export function valid(schema: JsonSchema, known: readonly string[] = []): Arbitrary<unknown> {
  const { $ref, type, enum: choices, properties } = schema
  if ($ref !== undefined) return valid(dereferenced(schema), known)
  if (Array.isArray(choices)) return fc.constantFrom(...choices)
  if (Array.isArray(type)) return fc.oneof(...type.map((name) => valid({ ...schema, type: name }, known)))
  if (properties) return validObject(schema, known)
  if (type === 'string') return text(schema)
  if (type === 'boolean') return fc.boolean()
  if (type === 'null') return fc.constant(null)
  if (type === 'array')
    return fc.uniqueArray(valid(schema['items'] as JsonSchema, known), {
      minLength: Number(schema['minItems'] ?? 0),
      maxLength: 3,
    })
  if (type === 'integer' || type === 'number')
    return fc.integer({
      min: Number(schema['minimum'] ?? 0),
      max: Number(schema['maximum'] ?? 2_147_483_647),
    })
  throw new Error(`no values are known for ${JSON.stringify(schema)}`)
}

function validObject(schema: JsonSchema, known: readonly string[]): Arbitrary<unknown> {
  const required = (schema['required'] ?? []) as string[]
  const fields = Object.entries(schema['properties'] as Record<string, JsonSchema>).map(([name, field]) => {
    const generated = valid(field, known)
    return [
      name,
      known.includes(name)
        ? fc.oneof({ arbitrary: placeholder(name), weight: 3 }, { arbitrary: generated, weight: 1 })
        : generated,
    ]
  })
  const object = fc.record<Record<string, unknown>>(Object.fromEntries(fields), { requiredKeys: required })
  const fewest = Number(schema['minProperties'] ?? 0)
  return object.filter((value) => Object.keys(value).length >= fewest)
}

/** Short texts; the longest allowed are among the invalid ones. */
const usualLength = 40

function text({ pattern, format, minLength = 0, maxLength = usualLength }: JsonSchema): Arbitrary<string> {
  const min = Number(minLength)
  const max = Math.max(min, Math.min(Number(maxLength), usualLength))
  const form = new RegExp(String(pattern ?? ''), 'u')
  const lengthFits = (value: string) => [...value].length >= min && [...value].length <= Number(maxLength)
  if (format === 'date' || format === 'date-time') return time(format)
  if (format === 'email') return fc.emailAddress().filter((value) => form.test(value))
  // A pattern that allows prose excludes few characters; from any other, generate.
  return form.test('ü 漢 😀')
    ? fc.string({ unit: 'binary', minLength: min, maxLength: max }).filter((value) => form.test(value))
    : fc.stringMatching(new RegExp(String(pattern))).filter(lengthFits)
}

function time(format: string): Arbitrary<string> {
  const [min, max] = [new Date('1000-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')]
  const dates = fc.date({ min, max, noInvalidDate: true }).map((date) => date.toISOString())
  return format === 'date' ? dates.map((text) => text.slice(0, 10)) : dates
}

const nastyTexts = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ufeffa',
  '\ud800',
  'a\udfff',
  'x'.repeat(101),
  'x'.repeat(1_001),
  '😀'.repeat(201),
  '__proto__',
  "'; drop table users; --",
  '../../etc/passwd',
  '%00',
  '\r\nX-Injected: 1',
  'null',
]
const nastyNumbers = [0, -1, 1.5, 1e21, 1e308, 2 ** 31, 2 ** 53, 2 ** 63, -(2 ** 63), Number.MIN_VALUE]

/** Any JSON value, often a known troublemaker. */
export const nasty: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(...nastyTexts, ...nastyNumbers, null, true, false, [], {}),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary' }),
)

/** A body with one field invalid, missing or unknown. */
export function broken(schema: JsonSchema, known: readonly string[]): Arbitrary<unknown> {
  const whole = dereferenced(schema)
  const names = Object.keys((whole['properties'] ?? {}) as object)
  const base = valid(whole, known) as Arbitrary<Record<string, unknown>>
  return fc.oneof(
    fc.tuple(base, fc.constantFrom(...names), nasty).map(([value, name, bad]) => ({ ...value, [name]: bad })),
    fc.tuple(base, fc.constantFrom(...names)).map(([{ ...value }, name]) => {
      delete value[name]
      return value
    }),
    fc
      .tuple(base, fc.constantFrom('id', 'user_id', 'role', 'constructor', 'x'), nasty)
      .map(([value, name, bad]) => ({ ...value, [name]: bad })),
    nasty,
  )
}

/** Bytes that are not JSON, or have duplicate names. */
export const malformed: Arbitrary<string> = fc.constantFrom(
  '{',
  '{"a":1,}',
  '{"a":1,"a":2}',
  '{"__proto__":{}}',
  '\ufeff{}',
  '{}{}',
  'NaN',
  '[[[[[[[[',
  'x'.repeat(17_000),
  ' ',
)

/** A text in a path or a query, valid or not. */
export function parameter(name: string, schema: JsonSchema, known: readonly string[]): Arbitrary<string> {
  const others = ['0', '-1', '1.5', '01', '1e3', 'NaN', 'TRUE', '9'.repeat(30), 'x'.repeat(256)]
  const wellFormed = nastyTexts.filter((value) => value.isWellFormed())
  const generated = [
    { arbitrary: valid(schema).map(String), weight: 2 },
    { arbitrary: fc.constantFrom(...others, ...wellFormed), weight: 1 },
  ]
  const usual = known.includes(name) ? [{ arbitrary: placeholder(name), weight: 6 }] : []
  return fc.oneof(...usual, ...generated)
}
