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

/**
 * All ways that an operation leaves. In the body: the documented fields, else those of the answer to an owner, else the
 * name that the path has.
 * @param answered fields in which the service calls a user the owner
 */
export function namingsOf(
  operation: Operation,
  id: string,
  ownerParam: string,
  resolve: Resolve,
  answered: readonly string[],
): Naming[] {
  const { parameters, body } = operation
  const names = ['x-user-id', 'x-owner-id', `x-${ownerParam.replaceAll('_', '-').toLowerCase()}`]
  const documented = parameters.find((each) => each.in === 'query' && plain(each.name) === plain(ownerParam))
  const ways: Naming[] = [
    { where: 'header', headers: Object.fromEntries(names.map((name) => [name, id])) },
    { where: 'query', query: { [documented?.name ?? ownerParam]: id } },
  ]
  if (!body || typeOf(schemaOf(body.schema, resolve)) !== 'object') return ways
  const choices = [ownerFieldsOf(body, ownerParam, resolve), answered, [ownerParam]]
  const fields = choices.find(({ length }) => length > 0) ?? []
  return [...ways, { where: 'body', fields: new Map(fields.map((name) => [name, id])) }]
}
