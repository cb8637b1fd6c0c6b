import type { TSchema } from '@sinclair/typebox'
import type { Config } from '../config/config.ts'
import { addProblem, type ProblemCode } from '../problem.ts'
import { type Field, fieldOf } from './fields.ts'
import { ownedInserts } from './insertion.ts'
import { pascalCase, spaced, withArticle } from './names.ts'
import { ownedRows } from './repository.ts'
import { ownedTables } from './table.ts'

/** What {@link ownedResource} makes a resource of; docs/own-resource.md explains each line. */
export interface Declaration<Fields extends Readonly<Record<string, TSchema>>> {
  /** More than one, in snake_case, e.g. `notes`: the table, the path, the tag and the scopes. */
  readonly name: string
  /** One of them, e.g. `note`: the parameter `note_id`, the problem `note_not_found`, the table `note_counts`. */
  readonly one: string
  /** Of the tag in the contract. */
  readonly description?: string
  /**
   * A column each, besides `id`, `user_id`, `version`, `created_at` and `updated_at`. With `Type.Optional`, a field may
   * be left out and be null; with a `default`, left out.
   */
  readonly fields: Fields
  /** Booleans and enums by which a list can be narrowed. */
  readonly filters?: readonly (keyof Fields & string)[]
  /** That an API key needs; by default `notes:read` and `notes:write`. */
  readonly scopes?: Scopes
  /** How many a user may have. */
  readonly limit: number | ((config: Config) => number)
  /** What sets that, in docs/errors.md. */
  readonly limitSetBy?: string
  /** Served where NODE_ENV is `test`, and nowhere else: for the example that the tests are written with. */
  readonly onlyInTests?: boolean
}

interface Scopes {
  readonly read: string
  readonly write: string
}

/** A resource that users own. */
export interface Resource {
  readonly name: string
  readonly one: string
  /** As in sentences, e.g. `line items` and `line item`. */
  readonly words: { readonly many: string; readonly one: string; readonly aOne: string }
  /** As in names of types and operations, e.g. `LineItems` and `LineItem`. */
  readonly types: { readonly many: string; readonly one: string }
  readonly description: string
  readonly fields: readonly Field[]
  readonly filters: readonly Field[]
  readonly scopes: Scopes
  /** The path parameter. */
  readonly parameter: string
  readonly problems: { readonly notFound: ProblemCode; readonly limitReached: ProblemCode }
  readonly limitOf: (config: Config) => number
  readonly limitSetBy: string | undefined
  readonly onlyInTests: boolean
  /** Tables with rows of users: its own, and that of the counts. */
  readonly tables: readonly string[]
  /** Statements, each with the owner in its WHERE. */
  readonly rows: ReturnType<typeof ownedRows> & ReturnType<typeof ownedInserts>
}

/** As many as the table of counts holds. */
const greatestLimit = 1_000_000

/** @throws Error for a faulty declaration */
export function ownedResource<const Fields extends Readonly<Record<string, TSchema>>>(
  declaration: Declaration<Fields>,
): Resource {
  const { name, one, limit, limitSetBy } = declaration
  if (typeof limit === 'number' && !(limit >= 1 && limit <= greatestLimit))
    throw new Error(`${name}: the limit is a number from 1 to ${greatestLimit}`)
  const fields = Object.entries(declaration.fields).map(([field, schema]) => fieldOf(field, schema))
  const filters = fields.filter((field) => declaration.filters?.includes(field.name))
  const unfit = filters.find(({ columnType, schema }) => columnType !== 'boolean' && !('enum' in schema))
  if (unfit) throw new Error(`${name}: the filter ${unfit.name} is neither a boolean nor an enum`)
  const tables = ownedTables(name, one, fields)
  const words = { many: spaced(name), one: spaced(one), aOne: withArticle(spaced(one)) }
  const first = words.one.charAt(0).toUpperCase()
  return {
    name,
    one,
    words,
    types: { many: pascalCase(name), one: pascalCase(one) },
    description: declaration.description ?? `The ${words.many} of a user`,
    fields,
    filters,
    scopes: declaration.scopes ?? { read: `${name}:read`, write: `${name}:write` },
    parameter: `${one}_id`,
    problems: {
      notFound: addProblem(`${one}_not_found`, {
        status: 404,
        detail: `${first}${words.one.slice(1)} not found`,
      }),
      limitReached: addProblem(`${one}_limit_reached`, {
        status: 409,
        detail: `The user has as many ${words.many} as one may have`,
      }),
    },
    limitOf: typeof limit === 'number' ? () => limit : limit,
    limitSetBy,
    onlyInTests: declaration.onlyInTests ?? false,
    tables: [tables.rows, tables.counts],
    rows: {
      ...ownedRows(
        tables,
        filters.map((field) => field.name),
      ),
      ...ownedInserts(tables),
    },
  }
}
