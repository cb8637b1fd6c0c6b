import { pascalCase } from '../../src/owned/names.ts'
import { Refused } from './refused.ts'

/** Short enough for the names of constraints and indexes, which PostgreSQL cuts at 63 bytes. */
const longestResource = 24
const longestField = 32

const identifier = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/

/** Of PostgreSQL (appendix C, reserved). */
const wordsOfSql = `all analyse analyze and any array as asc asymmetric authorization binary both case cast check
  collate collation column concurrently constraint create cross current_catalog current_date current_role
  current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false
  fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
  leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps
  placing primary references returning right select session_user similar some symmetric system_user table tablesample
  then to trailing true union unique user using variadic verbose when where window with`

/** Of JavaScript, with what strict JSON refuses as the name of a member. */
const wordsOfJavaScript = `arguments await break catch class const constructor continue debugger delete enum eval export
  extends finally function if import instanceof new prototype return super switch this throw try typeof undefined var
  void while yield`

const reserved = new Set(`${wordsOfSql} ${wordsOfJavaScript}`.split(/\s+/))

/** Columns that every resource has, and parameters of its list. */
const ownColumns = new Set(['id', 'user_id', 'version', 'created_at', 'updated_at', 'cursor'])

/** Imported by another name in what is written. */
const ownNames = new Set(['resource', 'resources', 'index', 'owned', 'owned_counts'])

/** @throws Refused */
export function assertResourceName(name: string): void {
  assertIdentifier(name, longestResource)
  assertNotReserved(name)
  if (ownNames.has(name)) throw new Refused(`${name} is taken by what the resources are made of`)
}

/**
 * It may be a reserved word: of `order` come `order_id` and `order_counts`.
 * @throws Refused
 */
export function assertNameOfOne(one: string): void {
  assertIdentifier(one, longestResource)
}

/** @throws Refused */
export function assertFieldName(name: string): void {
  assertIdentifier(name, longestField)
  assertNotReserved(name)
  if (ownColumns.has(name))
    throw new Refused(`every resource has ${name} already; give the field another name`)
}

function assertIdentifier(name: string, longest: number): void {
  if (!identifier.test(name) || name.length > longest)
    throw new Refused(
      `"${name}" is no name: letters a to z and digits in words joined by _, at most ${longest} characters`,
    )
}

function assertNotReserved(name: string): void {
  if (reserved.has(name)) throw new Refused(`${name} is a reserved word of SQL or JavaScript`)
}

const irregular: Readonly<Record<string, string>> = {
  children: 'child',
  cookies: 'cookie',
  indices: 'index',
  movies: 'movie',
  people: 'person',
}

const rules: readonly (readonly [ending: RegExp, singular: string])[] = [
  [/ies$/, 'y'],
  [/(ss|sh|ch|x|zz|[^ao]us)es$/, '$1'],
  [/([^s])s$/, '$1'],
]

/** @throws Refused when the plural does not say it */
export function singularOf(name: string): string {
  const [, before = '', last = ''] = /^(.*_)?([^_]+)$/.exec(name) ?? []
  const known = irregular[last]
  if (known !== undefined) return before + known
  const [ending, singular = ''] = rules.find(([ending]) => ending.test(last)) ?? []
  if (!ending)
    throw new Refused(
      `what is one of ${name} called? A resource has the name of many, and --one=<name> says one`,
    )
  return before + last.replace(ending, singular)
}

export function camelCase(name: string): string {
  const pascal = pascalCase(name)
  return pascal.charAt(0).toLowerCase() + pascal.slice(1)
}
