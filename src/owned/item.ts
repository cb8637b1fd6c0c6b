import { type OwnerId, subjectOf } from '../tokens/owner.ts'
import type { Field } from './fields.ts'

/** One of a resource, on the wire: its fields besides these. `user_id` is the owner's id in paths. */
export interface Item {
  readonly id: number
  user_id: string
  readonly created_at: string
  readonly updated_at: string
  readonly [field: string]: unknown
}

/** An item and the version in its ETag. */
export interface VersionedItem {
  readonly item: Item
  readonly version: number
}

/** The values of its fields, by name. */
export type Values = Readonly<Record<string, unknown>>

export interface ItemRow extends Item {
  readonly version: number
}

/** A row as its owner sees it. */
export function versioned({ version, ...item }: ItemRow): VersionedItem {
  item.user_id = subjectOf(item.user_id)
  return { item: item as Item, version }
}

/** An item as it was created, even if changed or deleted since. */
export function newItemAgain(
  owner: OwnerId,
  values: Values,
  { id, created_at }: Pick<Item, 'id' | 'created_at'>,
): VersionedItem {
  return versioned({ ...values, id, user_id: owner, created_at, updated_at: created_at, version: 1 })
}

/** The values of a creation: of each field, also of those that the body lacks. */
export function newValues(fields: readonly Field[], body: Values): Values {
  return Object.fromEntries(fields.map(({ name, canonical }) => [name, canonical(body[name])]))
}

/** The values of a change: only those of the body. */
export function changedValues(fields: readonly Field[], body: Values): Values {
  return newValues(
    fields.filter(({ name }) => body[name] !== undefined),
    body,
  )
}

/** As parameters of a statement. */
export function parametersOf(fields: readonly Field[], values: Values): Values {
  return Object.fromEntries(
    fields
      .filter(({ name }) => values[name] !== undefined)
      .map(({ name, parameterOf }) => [name, parameterOf(values[name])]),
  )
}
