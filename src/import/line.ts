import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { storableUnchanged } from '../db/storable.ts'
import { parseStrictJson } from '../http/strict-json.ts'
import { isKnownHash } from '../passwords/hashes.ts'
import { isUserId } from '../tokens/user-id.ts'
import { canonicalEmail, emailPattern } from '../users/email.ts'
import type { ImportedUser } from './repository.ts'

/** Absent and null are equal: exports write null for missing values. */
const Maybe = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))

const ImportLine = Type.Object(
  {
    id: Maybe(Type.Union([Type.String(), Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })])),
    email: Type.String({ maxLength: 254, pattern: emailPattern }),
    name: Maybe(Type.String({ pattern: storableUnchanged })),
    password_hash: Maybe(Type.String()),
    created_at: Maybe(Type.String()),
    email_verified: Maybe(Type.Boolean()),
  },
  { additionalProperties: false },
)

/** Error of a field, never containing its value. */
const faults = {
  id: 'is not one that an account can have',
  email: 'is not an address that an account can have',
  name: 'is not a text of 1 to 100 characters',
  password_hash: 'is of no form that can be verified',
  created_at: 'is not an RFC 3339 time of 1970 or later',
  email_verified: 'is not true or false',
} as const satisfies Record<keyof typeof ImportLine.properties, string>

/** An invalid line; the message contains no value of it. */
export class LineRefused extends Error {
  override name = 'LineRefused'
}

/**
 * Reads one line of an import.
 * @throws LineRefused
 */
export function readImportLine(bytes: Uint8Array): ImportedUser {
  const line = parse(bytes)
  if (!Value.Check(ImportLine, line)) throw faultOf(line)
  const id = line.id ?? undefined
  const name = line.name || line.email.replace(/@.*/, '').slice(0, maxName)
  const hash = line.password_hash ?? null
  if (id !== undefined && !isUserId(String(id))) throw fault('id')
  if ([...name].length > maxName) throw fault('name')
  if (hash !== null && !isKnownHash(hash)) throw fault('password_hash')
  return {
    id: id === undefined ? undefined : String(id),
    email: canonicalEmail(line.email),
    name,
    passwordHash: hash,
    emailVerified: line.email_verified ?? false,
    createdAt: typeof line.created_at === 'string' ? timeOf(line.created_at) : undefined,
  }
}

const maxName = 100

function fault(field: keyof typeof faults): LineRefused {
  return new LineRefused(`${field} ${faults[field]}`)
}

function parse(bytes: Uint8Array): unknown {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    throw new LineRefused((error as SyntaxError).message)
  }
}

function faultOf(line: unknown): LineRefused {
  const field = Value.Errors(ImportLine, line).First()?.path.slice(1) ?? ''
  if (field === 'email' && !Object.hasOwn(line as object, 'email')) return new LineRefused('email is missing')
  if (Object.hasOwn(faults, field)) return fault(field as keyof typeof faults)
  if (field === '') return new LineRefused('not a JSON object')
  // An unusual field name may be a misplaced value, so it is not printed.
  return new LineRefused(`${/^[A-Za-z_]\w{0,39}$/.test(field) ? field : 'a field'} is not one of an account`)
}

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/

/** To milliseconds in UTC. Date accepts 31 February, and PostgreSQL has no year 0 or 10000. */
function timeOf(text: string): string {
  const [, year, month, day] = (rfc3339.exec(text) ?? []).map(Number)
  const time = new Date(text)
  const daysInMonth = new Date(Date.UTC(year ?? 0, month ?? 0, 0)).getUTCDate()
  const known =
    day !== undefined && day <= daysInMonth && time.getTime() >= 0 && time.getUTCFullYear() < 10_000
  if (!known) throw fault('created_at')
  return time.toISOString()
}
