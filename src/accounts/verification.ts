import { endKeysIn } from '../api-keys/ending.ts'
import { violatesUnique } from '../db/errors.ts'
import type { Trx } from '../db/schema.ts'
import { hasBody, type KeyedRequest } from '../idempotency/keyed-request.ts'
import { findKept, keep, lockKey } from '../idempotency/repository.ts'
import { isPlain } from '../mail/mailbox-of.ts'
import { deleteAllTokens, findToken, type OneTimeToken, useToken } from '../one-time-tokens/repository.ts'
import { assertAcceptable, assertDeliverable } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit, type Effects } from '../sessions/commit.ts'
import { ownerByMail } from '../tokens/owner.ts'
import type { UsedToken } from '../tokens/used-token.ts'
import { contestUnverifiedAccount, deleteClaim } from '../users/claims.ts'
import { insertWaitingUser } from '../users/creation.ts'
import { resetOwnedName, setOwnedPasswordHash, setOwnedVerifiedEmail } from '../users/repository.ts'
import { findCredentials, type LockedAccount, lockAccount } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { assertMailAvailable, assertRoom } from './mail-requests.ts'
import { removeFactorIn } from './second-factor-removal.ts'
import type { SignUp } from './sign-up.ts'

/**
 * Signs up where an address must be verified before the first login. The answer is the same for a new, a pending and a
 * taken address; only the mail differs. The design is explained in docs/mail.md.
 * @param keyed the idempotency key: a retry sends no second mail
 * @throws Problem mail_unavailable, validation_failed, service_unavailable
 */
export async function signUpUnverified(
  deps: AccountDeps,
  wanted: SignUp,
  caller: Caller,
  keyed: KeyedRequest | null,
): Promise<void> {
  assertMailAvailable(deps)
  assertDeliverable(wanted.email, 'email')
  assertAcceptable(deps, wanted.password, { path: 'password', email: wanted.email })
  // Once more when a concurrent signup took the address.
  if (!(await trySignUp(deps, wanted, caller, keyed))) await trySignUp(deps, wanted, caller, keyed)
}

/** @returns false when a concurrent signup took the address */
async function trySignUp(
  deps: AccountDeps,
  { email, password, name }: SignUp,
  { ip, signal }: Caller,
  keyed: KeyedRequest | null,
): Promise<boolean> {
  const known = await findCredentials(deps.db, email)
  // One hash in every case, for timing: computed for a new address, verified for a pending one, a dummy otherwise.
  const passwordHash = known ? null : await deps.passwords.hash(password, signal)
  const waiting = known?.email_verified ? undefined : known?.password_hash
  const again = known !== undefined && (await deps.passwords.verify(waiting, password, signal))
  try {
    const made = await commit(deps, async (trx, { request }) => {
      if (keyed) await lockKey(trx, email, keyed)
      // Queried for a new address too: the statements must not reveal an account.
      const done = keyed && (await wasDone(trx, known?.id ?? '', keyed))
      // For a pending account, only the same password makes it a retry.
      if (done && (again || known?.email_verified)) return undefined
      // Even past the quota: otherwise an attacker could use it up, and the victim would confirm the attacker's
      // password.
      if (known && !again) await contestUnverifiedAccount(trx, email)
      const outcome = await request({ kind: 'signup', recipient: email })
      assertRoom(outcome)
      // An attacker can use up a mailbox's quota with tagged addresses; a new plain address is mailed all the same.
      if (outcome !== 'accepted' && (known || !isPlain(email))) return undefined
      const user = passwordHash === null ? known : await insertWaitingUser(trx, { email, name, passwordHash })
      if (!user) throw new Problem('email_already_registered')
      if (keyed) await keep(trx, user.id, keyed, null)
      return passwordHash === null ? undefined : user
    })
    // Outside the transaction: timing must not reveal that the address was new.
    if (made) deps.securityEvents.note({ event: 'account_created', userId: made.id, ip })
    return true
  } catch (error) {
    if (error instanceof Problem && error.code === 'email_already_registered') return false
    throw error
  }
}

async function wasDone(trx: Trx, userId: string, keyed: KeyedRequest): Promise<boolean> {
  const kept = await findKept(trx, userId, keyed)
  return kept !== undefined && hasBody(keyed, kept.body_mac)
}

/**
 * Verifies an address by the token mailed to it: the account's own, or the one that it is to change to.
 * @throws Problem invalid_token
 */
export async function verifyEmail(
  deps: AccountDeps,
  { token, ip }: { token: string; ip: string },
): Promise<void> {
  const found = await findToken(deps.db, token, ['email_verification', 'email_change'])
  if (!found) throw new Problem('invalid_token')
  try {
    await commit(deps, async (trx, effects) => {
      const account = await lockAccount(trx, { id: found.user_id })
      const used = await useToken(trx, found)
      if (!account || !used) throw new Problem('invalid_token')
      if (used.purpose === 'email_change') await changeEmail(trx, deps, { account, used, ip }, effects)
      else await confirmEmail(trx, deps, { account, used, ip }, effects)
    })
  } catch (error) {
    // Another account took the address after the request.
    if (violatesUnique(error, 'users_email_key')) throw new Problem('invalid_token', { reason: 'taken' })
    throw error
  }
}

interface Proof {
  readonly account: LockedAccount
  readonly used: OneTimeToken & UsedToken
  readonly ip: string
}

async function confirmEmail(
  trx: Trx,
  deps: AccountDeps,
  { account, used, ip }: Proof,
  effects: Effects,
): Promise<void> {
  if (account.email !== used.email) throw new Problem('invalid_token')
  const owner = ownerByMail(used)
  await setOwnedVerifiedEmail(trx, owner, used.email)
  effects.events.push({ event: 'email_verified', userId: owner, ip })
  if (!account.contested && !account.waiting) return
  await deleteClaim(trx, owner)
  if (!account.contested) return
  // Two parties signed up, and only the mailbox can decide: no password and no second factor works until it is reset by
  // mail, and every session and API key ends. An account in use keeps its content, since the mailbox has just confirmed it.
  await setOwnedPasswordHash(trx, owner, null)
  await removeFactorIn(trx, { owner, ip }, effects)
  if (account.waiting) await resetOwnedName(trx, owner)
  await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
  await endKeysIn(trx, { userId: owner, ip }, effects)
}

/** Ends every session: an attacker may have requested the change, and from which session is not recorded. */
async function changeEmail(
  trx: Trx,
  deps: AccountDeps,
  { account, used, ip }: Proof,
  effects: Effects,
): Promise<void> {
  const owner = ownerByMail(used)
  await setOwnedVerifiedEmail(trx, owner, used.email)
  await deleteClaim(trx, owner)
  await deleteAllTokens(trx, owner, used.email)
  effects.events.push({ event: 'email_changed', userId: owner, ip })
  // An unverified address may be a stranger's.
  if (account.email && account.email_verified) {
    effects.notices.push({ kind: 'email_changed', userId: owner, recipient: account.email, ip })
  }
  await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
}
