import { assertFieldName, assertNameOfOne, assertResourceName, singularOf } from './names.ts'
import { Refused } from './refused.ts'
import { type FieldType, typeNames, typeOf } from './types.ts'

export interface WantedField extends FieldType {
  readonly name: string
  readonly optional: boolean
}

/** What the command line asks for. */
export interface Wanted {
  readonly name: string
  readonly one: string
  readonly fields: readonly WantedField[]
}

export const usage = `npm run new:resource -- <name of many> [--one=<name of one>] <field>:<type>[?] ...
  e.g. npm run new:resource -- notes title:string body:text? done:boolean
  types: ${typeNames}; with ? a field may be left out and be null`

/** @throws Refused with a line that says what is wrong */
export function wantedBy(args: readonly string[]): Wanted {
  const flags = args.filter((arg) => arg.startsWith('-'))
  const [name, ...given] = args.filter((arg) => !arg.startsWith('-'))
  for (const flag of flags)
    if (!/^--one=./.test(flag)) throw new Refused(`${flag} is no option; there is --one=<name of one>`)
  if (flags.length > 1) throw new Refused('--one is there twice')
  if (name === undefined) throw new Refused(`a name and fields are missing\n${usage}`)
  assertResourceName(name)
  if (given.length === 0) throw new Refused(`${name} has no fields\n${usage}`)
  const one = flags[0]?.slice('--one='.length) ?? singularOf(name)
  assertNameOfOne(one)
  if (one === name)
    throw new Refused(`one of ${name} needs another name than all of them: --one=<name of one>`)
  const fields = given.map(fieldOf)
  const twice = fields.find(({ name }, at) => fields.findIndex((field) => field.name === name) < at)
  if (twice) throw new Refused(`the field ${twice.name} is there twice`)
  if (fields.some((field) => field.name === `${one}_id`))
    throw new Refused(`${one}_id is the parameter of the path; give the field another name`)
  return { name, one, fields }
}

function fieldOf(text: string): WantedField {
  const [, name = '', type = ''] = /^([^:]*):(.+)$/.exec(text) ?? []
  if (type === '') throw new Refused(`"${text}" is no field: <name>:<type>, such as title:string`)
  assertFieldName(name)
  // `enum?:a,b` and `enum:a,b?` are the same.
  const optional = /\?$|^enum\?/.test(type)
  return { name, optional, ...typeOf(name, type.replace(/^enum\?/, 'enum').replace(/\?$/, '')) }
}
