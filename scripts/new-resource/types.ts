import { Refused } from './refused.ts'

/** What is written for a field. */
export interface FieldType {
  /** The TypeBox schema of the declaration. */
  readonly schema: string
  /** The type of the column, as Kysely takes it. */
  readonly column: string
  /** Where a creation may leave it out, though it is not optional. */
  readonly default?: string
  /** Conditions of a check on the column, by the name that ends the constraint's. */
  readonly checks?: Readonly<Record<string, string>>
  /** Whether a list can be narrowed by it, and by which index that reads no other rows. */
  readonly filter?: 'boolean' | 'enum'
}

/** Characters. */
const longestString = 200
const longestText = 4_000

const types: Readonly<Record<string, (field: string) => FieldType>> = {
  string: (field) => ({
    schema: `Type.String({ minLength: 1, maxLength: ${longestString}, examples: ['Some ${field.replaceAll('_', ' ')}'] })`,
    column: `'text'`,
    checks: { length: `char_length(${field}) between 1 and ${longestString}` },
  }),
  text: (field) => ({
    schema: `Type.String({ maxLength: ${longestText}, examples: ['Some ${field.replaceAll('_', ' ')}'] })`,
    column: `'text'`,
    checks: { length: `char_length(${field}) <= ${longestText}` },
  }),
  integer: () => ({ schema: 'Type.Integer({ examples: [1] })', column: `'bigint'` }),
  number: () => ({ schema: 'Type.Number({ examples: [1.5] })', column: `'double precision'` }),
  boolean: () => ({
    schema: 'Type.Boolean({ default: false, examples: [false] })',
    column: `'boolean'`,
    default: 'false',
    filter: 'boolean',
  }),
  date: () => ({ schema: `Type.String({ format: 'date', examples: ['2026-01-31'] })`, column: `'date'` }),
  datetime: () => ({
    schema: `Type.String({ format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] })`,
    column: `'timestamptz(3)'`,
  }),
  json: () => ({
    schema: `Type.Object({}, { additionalProperties: true, examples: [{ any: 'member' }] })`,
    column: `'json'`,
  }),
}

export const typeNames = [...Object.keys(types), 'enum:<one>,<other>'].join(', ')

const choice = /^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/

/**
 * @param type e.g. `string`, `enum:open,done` or `enum(open,done)`
 * @throws Refused for one that is none
 */
export function typeOf(field: string, type: string): FieldType {
  const [, listed = ''] = /^enum(?::(.*)|\((.*)\))$/.exec(type)?.filter((part) => part !== undefined) ?? []
  if (listed !== '') return enumOf(field, listed.split(','))
  const made = Object.hasOwn(types, type) ? types[type] : undefined
  if (!made) throw new Refused(`"${type}" is no type of ${field}: ${typeNames}`)
  return made(field)
}

function enumOf(field: string, choices: readonly string[]): FieldType {
  for (const text of choices)
    if (!choice.test(text))
      throw new Refused(`"${text}" is no value of ${field}: letters, digits, _ and -, at most 40 characters`)
  if (new Set(choices).size < choices.length) throw new Refused(`${field} has the same value twice`)
  if (choices.length < 2) throw new Refused(`${field} has one value only: enum:<one>,<other>`)
  const list = choices.map((text) => `'${text}'`).join(', ')
  return {
    schema: `Type.String({ enum: [${list}], examples: ['${choices[0]}'] })`,
    column: `'text'`,
    checks: { value: `${field} in (${list})` },
    filter: 'enum',
  }
}
