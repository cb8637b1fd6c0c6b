/** A JSON Schema, as OpenAPI 3.0 and 3.1 have it, with its references resolved. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly pattern?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly example?: unknown
  readonly examples?: readonly unknown[]
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  readonly readOnly?: boolean
  readonly items?: unknown
  readonly prefixItems?: readonly unknown[]
  readonly allOf?: readonly unknown[]
  readonly oneOf?: readonly unknown[]
  readonly anyOf?: readonly unknown[]
  readonly additionalProperties?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number | boolean
  readonly exclusiveMaximum?: number | boolean
  readonly multipleOf?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
}

export type Resolve = (value: unknown) => unknown

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The schema behind references, with `allOf` merged and the first alternative that is not null chosen. */
export function schemaOf(value: unknown, resolve: Resolve, depth = 0): Schema {
  const resolved = resolve(value)
  if (!isObject(resolved) || depth > 12) return {}
  const { allOf, oneOf, anyOf, ...own } = resolved as Schema
  const alternatives = (oneOf ?? anyOf ?? []).map((each) => schemaOf(each, resolve, depth + 1))
  const alternative = alternatives.find(({ type }) => type !== 'null')
  const parts = [...(allOf ?? []).map((each) => schemaOf(each, resolve, depth + 1)), alternative ?? {}]
  const all = [...parts, own]
  const merged: Schema = Object.assign({}, ...all)
  const properties = all.flatMap((part) => Object.entries(part.properties ?? {}))
  const required = all.flatMap((part) => part.required ?? [])
  return {
    ...merged,
    ...(properties.length > 0 ? { properties: Object.fromEntries(properties) } : {}),
    ...(required.length > 0 ? { required } : {}),
  }
}

export function typeOf({ type, properties, items, enum: values }: Schema): string | undefined {
  const declared = typeof type === 'string' ? type : type?.find((each) => each !== 'null')
  if (declared !== undefined) return declared
  if (properties) return 'object'
  if (items) return 'array'
  return values ? typeof values[0] : undefined
}

/** The values that a schema itself gives: examples, default, the first of an enumeration. */
export function givenBy(schema: Schema): unknown[] {
  const { const: only, example, examples, default: standard, enum: values } = schema
  return [only, example, ...(Array.isArray(examples) ? examples : []), standard, values?.[0]].filter(
    (value) => value !== undefined,
  )
}
