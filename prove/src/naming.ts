import { ownerFieldsOf } from './bodies.ts'
import { type Operation, plain } from './operations.ts'
import type { NamedIn } from './result.ts'
import { type Resolve, schemaOf, typeOf } from './schema.ts'

/** A way to call a user the owner besides the path. */
export interface Naming {
  readonly where: NamedIn
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly fields?: ReadonlyMap<string, string>
}

/** All ways that an operation leaves; a field or parameter that is not documented only where none is. */
export function namingsOf(operation: Operation, id: string, ownerParam: string, resolve: Resolve): Naming[] {
  const { parameters, body } = operation
  const names = ['x-user-id', 'x-owner-id', `x-${ownerParam.replaceAll('_', '-').toLowerCase()}`]
  const documented = parameters.find((each) => each.in === 'query' && plain(each.name) === plain(ownerParam))
  const ways: Naming[] = [
    { where: 'header', headers: Object.fromEntries(names.map((name) => [name, id])) },
    { where: 'query', query: { [documented?.name ?? ownerParam]: id } },
  ]
  if (!body || typeOf(schemaOf(body.schema, resolve)) !== 'object') return ways
  const fields = ownerFieldsOf(body, ownerParam, resolve)
  // One at a time, so that a service that refuses the one may believe the other.
  const groups = fields.length > 0 ? [fields] : [...new Set([ownerParam, 'owner_id'])].map((name) => [name])
  return [
    ...ways,
    ...groups.map((group): Naming => ({ where: 'body', fields: new Map(group.map((name) => [name, id])) })),
  ]
}
