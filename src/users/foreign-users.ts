import type { Db } from '../db/schema.ts'
import type { Principal } from '../tokens/owner.ts'
import { looksMinted } from '../tokens/user-id.ts'
import { insertForeignUser } from './creation.ts'
import { type CanonicalEmail, canonicalEmail, isEmail } from './email.ts'

const maxNameCodePoints = 100

/**
 * Runs work on the user's own row, and again if it found none and {@link ensureForeignUser} inserted it.
 * @param work resolves to undefined when there is no row
 */
export async function withRow<T>(
  db: Db,
  user: Principal,
  work: () => Promise<T | undefined>,
): Promise<T | undefined> {
  return (await work()) ?? ((await ensureForeignUser(db, user)) ? work() : undefined)
}

/**
 * Inserts the row of a trusted issuer's user, who never signed up here, unless it exists.
 * @returns false for users of this service, whose rows only a signup or an import inserts
 */
export async function ensureForeignUser(
  db: Db,
  { userId, sub, issuer, profile }: Principal,
): Promise<boolean> {
  // A holder of the shared secret can name any user of this service, and must not bring a deleted one back.
  if (issuer === undefined || looksMinted(sub)) return false
  const email = profile?.email !== undefined && isEmail(profile.email) ? canonicalEmail(profile.email) : null
  await insertForeignUser(db, {
    id: userId,
    issuer,
    subject: sub,
    email,
    emailVerified: email !== null && profile?.emailVerified === true,
    name: nameOf(profile?.name, email, sub),
  })
  return true
}

/** The issuer's name for the user, cut to our limit; never empty. */
function nameOf(name: string | undefined, email: CanonicalEmail | null, sub: string): string {
  // An issuer that truncates a name may leave half a surrogate pair.
  const printable = (name ?? '').replace(/^\ufeff+|\0|\p{Surrogate}/gu, '').trim()
  return [...(printable || email?.split('@')[0] || sub)].slice(0, maxNameCodePoints).join('')
}
