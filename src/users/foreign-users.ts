import type { Db } from '../db/schema.ts'
import type { Principal } from '../tokens/owner.ts'
import { looksMinted } from '../tokens/user-id.ts'
import { type CanonicalEmail, canonicalEmail, isEmail } from './email.ts'
import { insertForeignUser } from './repository.ts'

/** Code points that a name has at most. */
const longestName = 100

/**
 * Does what needs the user's row, and makes the row if it is missing and the user is a trusted issuer's, who never
 * signed up here.
 * @param work resolves to undefined when there is no row
 */
export async function withRow<T>(
  db: Db,
  user: Principal,
  work: () => Promise<T | undefined>,
): Promise<T | undefined> {
  return (await work()) ?? ((await welcome(db, user)) ? work() : undefined)
}

/** @returns whether the user has a row now */
async function welcome(db: Db, { userId, sub, issuer, profile }: Principal): Promise<boolean> {
  // Who shares our secret can name our users; that makes none of them.
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

/** The issuer's word, as far as it fits into a name here; what a profile page shows should not be empty. */
function nameOf(name: string | undefined, email: CanonicalEmail | null, sub: string): string {
  // An issuer that cuts a name off may leave half of an emoji at its end.
  const printable = (name ?? '').replace(/^\ufeff+|\0|\p{Surrogate}/gu, '').trim()
  return [...(printable || email?.split('@')[0] || sub)].slice(0, longestName).join('')
}
