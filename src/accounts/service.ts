import type { Db } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { type Client, insertSession, type Session } from '../sessions/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { canonicalEmail } from './email.ts'
import { lengthAsHashed, type Passwords, passwordLength } from './passwords.ts'
import { deleteOwnedUser, findCredentials, findOwnedPasswordHash, insertUser, type User } from './users.ts'

/** What accounts need of their surroundings; a Fastify instance with the plugins on it is one. */
export interface AccountDeps {
  readonly db: Db
  readonly passwords: Passwords
}

export interface SignedIn {
  readonly user: User
  readonly session: Session
}

interface SignUp {
  readonly email: string
  readonly password: string
  readonly name: string
}

/**
 * Makes an account and its first session, both or neither.
 * @throws Problem email_already_registered, validation_failed, service_unavailable
 */
export async function signUp(
  { db, passwords }: AccountDeps,
  wanted: SignUp,
  client: Client,
): Promise<SignedIn> {
  assertAcceptable(wanted.password, 'password')
  // Hashed before the address is looked at: a taken one costs the same time.
  const passwordHash = await passwords.hash(wanted.password)
  const email = canonicalEmail(wanted.email)
  return db.transaction().execute(async (trx) => {
    const user = await insertUser(trx, { email, name: wanted.name, passwordHash })
    if (!user) throw new Problem('email_already_registered')
    return { user, session: await insertSession(trx, user.id, client) }
  })
}

/**
 * Opens a session for the right password. No account, wrong password and unreadable hash are one answer.
 * @throws Problem invalid_credentials, service_unavailable
 */
export async function logIn(
  { db, passwords }: AccountDeps,
  given: { readonly email: string; readonly password: string },
  client: Client,
): Promise<SignedIn> {
  const found = await findCredentials(db, canonicalEmail(given.email))
  const matched = await passwords.verify(found?.password_hash, given.password)
  if (!found || !matched) throw new Problem('invalid_credentials')
  const { password_hash: _, ...user } = found
  return { user, session: await insertSession(db, user.id, client) }
}

/**
 * Removes an account with its sessions and tasks, for the right password.
 * @throws Problem user_not_found, invalid_credentials, service_unavailable
 */
export async function deleteAccount(
  { db, passwords }: AccountDeps,
  owner: OwnerId,
  password: string,
): Promise<void> {
  const hash = await findOwnedPasswordHash(db, owner)
  if (hash === undefined) throw new Problem('user_not_found')
  if (!(await passwords.verify(hash, password))) throw new Problem('invalid_credentials')
  await deleteOwnedUser(db, owner)
}

/** The schema bounds what was sent; composing to NFC can still take it below the minimum. */
function assertAcceptable(password: string, path: string): void {
  if (lengthAsHashed(password) >= passwordLength.min) return
  const message = `must NOT have fewer than ${passwordLength.min} characters`
  throw new Problem('validation_failed', { errors: [{ path, message }] })
}
