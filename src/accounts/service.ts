import { recordEvent } from '../audit.ts'
import { Problem } from '../problem.ts'
import { type Client, lockUser } from '../sessions/repository.ts'
import { revokeOwnedTokens } from '../sessions/revocation-repository.ts'
import { endOwnedSessions, openSession, type SessionDeps, type SignedIn } from '../sessions/service.ts'
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
  return deps.db.transaction().execute(async (trx) => {
    const user = await insertUser(trx, { email, name: wanted.name, passwordHash })
    const opened =
      user && (await openSession(trx, deps.sessionPolicy, { userId: user.id, passwordHash, client }))
    if (!opened) throw new Problem('email_already_registered')
    return { user, session: opened.session }
  })
}

/**
 * Opens a session for the right password. No account, wrong password and unreadable hash are one answer.
 * @throws Problem invalid_credentials, service_unavailable
 */
export async function logIn(
  { db, passwords, revocations, sessionPolicy }: AccountDeps,
  given: { readonly email: string; readonly password: string },
  client: Client,
): Promise<SignedIn> {
  const found = await findCredentials(db, canonicalEmail(given.email))
  const matched = await passwords.verify(found?.password_hash, given.password)
  if (!found || !matched) throw new Problem('invalid_credentials')
  const { password_hash: passwordHash, ...user } = found
  const opened = await db
    .transaction()
    .execute((trx) => openSession(trx, sessionPolicy, { userId: user.id, passwordHash, client }))
  if (!opened) throw new Problem('invalid_credentials')
  revocations.apply(opened.revoked)
  return { user, session: opened.session }
}

/**
 * Sets a new password for the right current one; every other session ends.
 * @param sid the session that goes on
 * @throws Problem user_not_found, invalid_credentials, validation_failed, service_unavailable
 */
export async function changePassword(
  deps: AccountDeps,
  { owner, sid }: { readonly owner: OwnerId; readonly sid: string | undefined },
  { current, wanted }: { readonly current: string; readonly wanted: string },
): Promise<void> {
  assertAcceptable(wanted, 'new_password')
  const currentHash = await assertPassword(deps, owner, current)
  if (wanted === current) throw fieldProblem('new_password', 'must differ from the current one')
  const passwordHash = await deps.passwords.hash(wanted)
  const { db, sessionPolicy, revocations, log } = deps
  const revoked = await db.transaction().execute(async (trx) => {
    if ((await lockUser(trx, owner)) !== currentHash) throw new Problem('invalid_credentials')
    await setOwnedPasswordHash(trx, owner, passwordHash)
    const ended = await endOwnedSessions(trx, sessionPolicy, owner, { except: sid })
    ended.push(...(await revokeOwnedTokens(trx, owner, sessionPolicy.accessTokenSeconds)))
    await recordEvent(trx, log, { event: 'password_changed', userId: owner, sessionId: sid })
    return ended
  })
  revocations.apply(revoked)
}

/**
 * Removes an account with its sessions and tasks, for the right password.
 * @throws Problem user_not_found, invalid_credentials, service_unavailable
 */
export async function deleteAccount(deps: AccountDeps, owner: OwnerId, password: string): Promise<void> {
  await assertPassword(deps, owner, password)
  const { db, sessionPolicy, revocations, log } = deps
  const revoked = await db.transaction().execute(async (trx) => {
    await lockUser(trx, owner)
    const ended = await endOwnedSessions(trx, sessionPolicy, owner, {})
    ended.push(...(await revokeOwnedTokens(trx, owner, sessionPolicy.accessTokenSeconds)))
    await deleteOwnedUser(trx, owner)
    await recordEvent(trx, log, { event: 'account_deleted', userId: owner })
    return ended
  })
  revocations.apply(revoked)
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
