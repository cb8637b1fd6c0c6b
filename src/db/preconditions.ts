import { type RawBuilder, sql } from 'kysely'
import type { Preconditions } from '../http/etag.ts'

/** Conditions on the column `version`: in the WHERE of a write, two clients with the same ETag cannot both win. */
export function versionConditions({ ifMatch, ifNoneMatch }: Preconditions): RawBuilder<boolean>[] {
  const conditions: RawBuilder<boolean>[] = []
  if (ifMatch !== undefined && ifMatch !== '*') conditions.push(sql`version = any(${ifMatch}::int[])`)
  if (ifNoneMatch === '*') conditions.push(sql`false`)
  else if (ifNoneMatch !== undefined) conditions.push(sql`version <> all(${ifNoneMatch}::int[])`)
  return conditions
}
