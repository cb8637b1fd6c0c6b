import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { type Consequences, committing } from '../sessions/committing.ts'
import { endOwnedSessionsIn, type WhichSessions } from '../sessions/ending.ts'
import { type Client, lockUser } from '../sessions/repository.ts'
import { revokeOwnedTokens } from '../sessions/revocation-repository.ts'
import { openSession, type SessionDeps, type SignedIn } from '../sessions/service.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { canonicalEmail } from './email.ts'
import { lengthAsHashed, type Passwords, passwordLength } from './passwords.ts'
import {
  deleteOwnedUser,
  findCredentials,
  findOwnedPasswordHash,
  insertUser,
  setOwnedPasswordHash,
} from './users.ts'

/** What accounts need of their surroundings; a Fastify instance with the plugins on it is one. */
export interface AccountDeps extends SessionDeps {
  readonly passwords: Passwords
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
export async function signUp(deps: AccountDeps, wanted: SignUp, client: Client): Promise<SignedIn> {
  assertAcceptable(wanted.password, 'password')
  // Hashed before the address is looked at: a taken one costs the same time.
  const passwordHash = await deps.passwords.hash(wanted.password)
  const email = canonicalEmail(wanted.email)
  return committing(deps, async (trx, consequences) => {
    const user = await insertUser(trx, { email, name: wanted.name, passwordHash })
    if (!user) throw new Problem('email_already_registered')
    const opening = { userId: user.id, passwordHash, client }
    const session = await openSession(trx, deps.sessionPolicy, opening, consequences)
    if (!session) throw new Error('the account that was just made is not there')
    return { user, session }
  })
}

/**
 * Opens a session for the right password. No account, wrong password and unreadable hash are one answer.
 * @throws Problem invalid_credentials, service_unavailable
 */
export async function logIn(
  deps: AccountDeps,
  given: { readonly email: string; readonly password: string },
  client: Client,
): Promise<SignedIn> {
  const found = await findCredentials(deps.db, canonicalEmail(given.email))
  const matched = await deps.passwords.verify(found?.password_hash, given.password)
  if (!found || !matched) throw new Problem('invalid_credentials')
  const { password_hash: passwordHash, ...user } = found
  const opening = { userId: user.id, passwordHash, client }
  const session = await committing(deps, (trx, consequences) =>
    openSession(trx, deps.sessionPolicy, opening, consequences),
  )
  if (!session) throw new Problem('invalid_credentials')
  return { user, session }
}

/**
 * Sets a new password for the right current one; every session but `sid` ends.
 * @throws Problem user_not_found, invalid_credentials, validation_failed, service_unavailable
 */
export async function changePassword(
  deps: AccountDeps,
  owner: OwnerId,
  { current, wanted, sid, ip }: { current: string; wanted: string; sid: string; ip: string },
): Promise<void> {
  assertAcceptable(wanted, 'new_password')
  const currentHash = await assertPassword(deps, owner, current)
  if (wanted === current) throw fieldProblem('new_password', 'must differ from the current one')
  const passwordHash = await deps.passwords.hash(wanted)
  await committing(deps, async (trx, consequences) => {
    if ((await lockUser(trx, owner)) !== currentHash) throw new Problem('invalid_credentials')
    await setOwnedPasswordHash(trx, owner, passwordHash)
    consequences.events.push({ event: 'password_changed', userId: owner, sessionId: sid, ip })
    await endAccess(trx, deps, { owner, which: { except: sid }, ip }, consequences)
  })
}

/**
 * Removes an account with its sessions and tasks, for the right password.
 * @throws Problem user_not_found, invalid_credentials, service_unavailable
 */
export async function deleteAccount(
  deps: AccountDeps,
  owner: OwnerId,
  { password, ip }: { password: string; ip: string },
): Promise<void> {
  const currentHash = await assertPassword(deps, owner, password)
  await committing(deps, async (trx, consequences) => {
    if ((await lockUser(trx, owner)) !== currentHash) throw new Problem('invalid_credentials')
    await endAccess(trx, deps, { owner, which: 'all', ip }, consequences)
    await deleteOwnedUser(trx, owner)
    consequences.events.push({ event: 'account_deleted', userId: owner, ip })
  })
}

/** Ends sessions, and every token of the owner's that was issued until now and belongs to no session. */
async function endAccess(
  trx: Trx,
  { sessionPolicy }: AccountDeps,
  ending: { owner: OwnerId; which: WhichSessions; ip: string },
  consequences: Consequences,
): Promise<void> {
  await endOwnedSessionsIn(trx, sessionPolicy, ending, consequences)
  consequences.revoked.push(...(await revokeOwnedTokens(trx, ending.owner, sessionPolicy.accessTokenSeconds)))
}

/**
 * @returns the hash that the password was verified against
 * @throws Problem user_not_found, invalid_credentials, service_unavailable
 */
async function assertPassword(
  { db, passwords }: AccountDeps,
  owner: OwnerId,
  password: string,
): Promise<string> {
  const hash = await findOwnedPasswordHash(db, owner)
  if (hash === undefined) throw new Problem('user_not_found')
  if (!(await passwords.verify(hash, password))) throw new Problem('invalid_credentials')
  return hash
}

/** The schema bounds what was sent; composing to NFC can still take it below the minimum. */
function assertAcceptable(password: string, path: string): void {
  if (lengthAsHashed(password) >= passwordLength.min) return
  throw fieldProblem(path, `must NOT have fewer than ${passwordLength.min} characters`)
}

function fieldProblem(path: string, message: string): Problem {
  return new Problem('validation_failed', { errors: [{ path, message }] })
}
