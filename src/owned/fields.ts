import { OptionalKind, type TSchema, Type } from '@sinclair/typebox'
import { storable } from '../db/storable.ts'

/** A field of a resource: in bodies and answers, and as a column. */
export interface Field {
  readonly name: string
  /** On the wire; null is allowed where the declaration is `Type.Optional`. */
  readonly schema: TSchema
  /** Whether a creation must have it. */
  readonly required: boolean
  /** The type of its column. */
  readonly columnType: string
  /** The value that an answer has, of one in a body; without one, that of a creation which lacks the field. */
  readonly canonical: (sent: unknown) => unknown
  /** The parameter of a statement. */
  readonly parameterOf: (value: unknown) => unknown
}

/** Years of four digits, in UTC, to the millisecond: what the database returns as it was sent. */
const storableTime = '^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\\.[0-9]{1,3})?Z$'
const storableDate = '^[1-9][0-9]{3}-'

interface Kind {
  readonly columnType: string
  /** Added to the schema, where it has no pattern of its own. */
  readonly pattern?: string
  readonly canonical?: Field['canonical']
  readonly parameterOf?: Field['parameterOf']
}

const inColumn: Kind = { columnType: 'text', pattern: storable }
/** Stored as it was sent: `jsonb` refuses U+0000 and sorts the names. */
const asJson: Kind = { columnType: 'json', parameterOf: JSON.stringify }

const kinds: Readonly<Record<string, Kind>> = {
  string: inColumn,
  'string date': { columnType: 'date', pattern: storableDate },
  'string date-time': {
    columnType: 'timestamptz(3)',
    pattern: storableTime,
    canonical: (sent) => new Date(String(sent)).toISOString(),
  },
  integer: { columnType: 'bigint' },
  number: { columnType: 'double precision' },
  boolean: { columnType: 'boolean' },
  object: asJson,
  array: asJson,
}

const bounds: Readonly<Record<string, object>> = {
  integer: { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
}

/** @throws Error for a schema without a column type */
export function fieldOf(name: string, declared: TSchema): Field {
  const { type, default: initial, description, examples, enum: choices, ...rest } = withoutSymbols(declared)
  const format = rest['format'] === 'date' || rest['format'] === 'date-time' ? ` ${rest['format']}` : ''
  const kind = kinds[`${String(type)}${format}`]
  if (!kind) throw new Error(`${name}: a field is a string, integer, number, boolean, object or array`)
  const { columnType, pattern, canonical = (sent) => sent, parameterOf = (value) => value } = kind
  const nullable = OptionalKind in declared
  const schema = Type.Unsafe<unknown>({
    ...bounds[String(type)],
    ...(pattern && !choices ? { ...rest, pattern: rest['pattern'] ?? pattern } : rest),
    ...(choices ? { enum: nullable ? [...(choices as string[]), null] : choices } : {}),
    ...(typeof description === 'string' ? { description } : {}),
    ...(Array.isArray(examples) ? { examples } : {}),
    type: nullable ? [type, 'null'] : type,
  })
  return {
    name,
    schema,
    required: !nullable && initial === undefined,
    columnType,
    canonical: (sent = initial ?? null) => (sent === null ? null : canonical(sent)),
    parameterOf: (value) => (value === null ? null : parameterOf(value)),
  }
}

function withoutSymbols(schema: TSchema): Record<string, unknown> {
  return Object.fromEntries(Object.entries(schema))
}
