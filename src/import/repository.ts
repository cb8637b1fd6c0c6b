import { typeid } from 'typeid-js'
import type { Db } from '../db/schema.ts'
import type { CanonicalEmail } from '../users/email.ts'

/** An account of another system. */
export interface ImportedUser {
  /** The id there; generated if it had none. */
  readonly id: string | undefined
  readonly email: CanonicalEmail
  readonly name: string
  readonly passwordHash: string | null
  readonly emailVerified: boolean
  readonly createdAt: string | undefined
}

export type ImportOutcome = 'imported' | 'already there' | 'id taken' | 'email taken' | 'gone'

/**
 * Inserts the accounts whose id and address are both free, in one statement; of duplicates, the first.
 * @returns the outcome of each, in order
 */
export async function insertImported(db: Db, users: readonly ImportedUser[]): Promise<ImportOutcome[]> {
  if (users.length === 0) return []
  const rows = users.map((user) => ({
    id: user.id ?? typeid('user').toString(),
    email: user.email,
    name: user.name,
    password_hash: user.passwordHash,
    email_verified: user.emailVerified,
    created_at: user.createdAt,
  }))
  const inserted = await db
    .insertInto('users')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .returning(['id', 'email'])
    .execute()
  const made = new Set(inserted.map(keyOf))
  // Deleted from the set, so that the second of two duplicates counts as existing.
  const isMade = rows.map((row) => made.delete(keyOf(row)))
  const holders = await findHolders(
    db,
    rows.filter((_, at) => !isMade[at]),
  )
  return users.map((user, at) => (isMade[at] ? 'imported' : outcomeOf(user, holders)))
}

function keyOf({ id, email }: { id: string; email: string | null }): string {
  return `${id} ${email}`
}

/** Existing accounts with one of the ids or addresses. */
interface Holders {
  readonly emailOf: ReadonlyMap<string, string | null>
  readonly emails: ReadonlySet<string | null>
}

async function findHolders(db: Db, rows: readonly { id: string; email: string }[]): Promise<Holders> {
  if (rows.length === 0) return { emailOf: new Map(), emails: new Set() }
  const ids = rows.map(({ id }) => id)
  const emails = rows.map(({ email }) => email)
  const found = await db
    .selectFrom('users')
    .select(['id', 'email', 'issuer'])
    .where((eb) =>
      eb.or([eb('id', 'in', ids), eb.and([eb('email', 'in', emails), eb('issuer', 'is', null)])]),
    )
    .execute()
  // A foreign user's address is not unique and no login.
  const emailOf = new Map(found.map(({ id, email, issuer }) => [id, issuer === null ? email : null]))
  return { emailOf, emails: new Set(emailOf.values()) }
}

function outcomeOf({ id, email }: ImportedUser, { emailOf, emails }: Holders): ImportOutcome {
  if (id !== undefined && emailOf.has(id)) return emailOf.get(id) === email ? 'already there' : 'id taken'
  if (!emails.has(email)) return 'gone'
  return id === undefined ? 'already there' : 'email taken'
}
