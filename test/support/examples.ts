import type { Field } from '../../src/owned/fields.ts'
import type { Values } from '../../src/owned/item.ts'
import type { Resource } from '../../src/owned/resource.ts'
import { resources } from '../../src/resources/index.ts'

interface FieldSchema {
  readonly type: string | readonly string[]
  readonly examples?: readonly unknown[]
  readonly enum?: readonly unknown[]
}

/** A value that a field may have. */
function exampleOf({ name, schema }: Field): unknown {
  const { examples = [], enum: choices = [] } = schema as unknown as FieldSchema
  const [example = choices[0]] = examples
  if (example === undefined) throw new Error(`${name} has no examples`)
  return example
}

/** A body that creates one of the resource: the examples of its fields. */
export function exampleOfResource({ fields }: Pick<Resource, 'fields'>): Values {
  return Object.fromEntries(fields.map((field) => [field.name, exampleOf(field)]))
}

/** The same with another value of one field. */
export function otherExampleOf(resource: Pick<Resource, 'fields'>): Values {
  const example = exampleOfResource(resource)
  const [field] = resource.fields
  if (!field) throw new Error('a resource has a field')
  return { ...example, [field.name]: otherValueOf(field, example[field.name]) }
}

function otherValueOf({ schema, columnType }: Field, value: unknown): unknown {
  const { enum: choices = [] } = schema as unknown as FieldSchema
  const others: Record<string, unknown> = {
    date: '2025-12-24',
    'timestamptz(3)': '2025-12-24T00:00:00.000Z',
    json: {},
  }
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  return choices[1] ?? others[columnType] ?? 'Other'
}

/** Those that are in the contract. */
export const servedResources = resources.filter(({ onlyInTests }) => !onlyInTests)

/** Two values of a field by which a list can be narrowed. */
export function filterValues({ schema }: Field): readonly unknown[] {
  const { enum: choices = [true, false] } = schema as unknown as FieldSchema
  return choices.filter((choice) => choice !== null).slice(0, 2)
}

/** The routes of a resource, by method and pattern. */
export function routesOfResource(resource: Resource) {
  const list = `/api/:user_id/${resource.name}`
  const item = `${list}/:${resource.parameter}`
  const { read, write } = resource.scopes
  return [
    { name: `GET ${list}`, operation: 'list', scope: read, resource },
    { name: `POST ${list}`, operation: 'create', scope: write, resource },
    { name: `GET ${item}`, operation: 'read', scope: read, resource },
    { name: `PUT ${item}`, operation: 'change', scope: write, resource },
    { name: `PATCH ${item}`, operation: 'change', scope: write, resource },
    { name: `DELETE ${item}`, operation: 'delete', scope: write, resource },
  ] as const
}
