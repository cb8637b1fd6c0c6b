import type { Field } from '../../src/owned/fields.ts'
import type { Values } from '../../src/owned/item.ts'
import type { Resource } from '../../src/owned/resource.ts'

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

/** Two values of a field by which a list can be narrowed. */
export function filterValues({ schema }: Field): readonly unknown[] {
  const { enum: choices = [true, false] } = schema as unknown as FieldSchema
  return choices.filter((choice) => choice !== null).slice(0, 2)
}
