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
import {
  findCredentials,
  insertWaitingUser,
  type LockedAccount,
  lockAccount,
  resetOwnedName,
  setOwnedPasswordHash,
  setOwnedVerifiedEmail,
} from '../users/repository.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { assertMailAvailable, assertRoom } from './mail-requests.ts'
import type { SignUp } from './sign-up.ts'

/**
 * Signs up where an address has to be verified before anybody can log in. The answer is one whether the address is
 * new, waits to be verified or is taken; the mail says which. docs/mail.md tells why it goes as it goes.
 * @param keyed of a request that may come again, and then sends no other mail; its answer is as silent as any
 * @throws Problem mail_unavailable, validation_failed, service_unavailable
 */
export async function signUpUnverified(
  deps: AccountDeps,
  wanted: SignUp,
  from: Caller,
  keyed: KeyedRequest | null,
): Promise<void> {
  assertMailAvailable(deps)
  assertDeliverable(wanted.email, 'email')
  assertAcceptable(deps, wanted.password, { path: 'password', email: wanted.email })
  // A second time when another signup with the address was faster.
  if (!(await trySignUp(deps, wanted, from, keyed))) await trySignUp(deps, wanted, from, keyed)
}

/** @returns false when the address was new and then was not */
async function trySignUp(
  deps: AccountDeps,
  { email, password, name }: SignUp,
  { ip, signal }: Caller,
  keyed: KeyedRequest | null,
): Promise<boolean> {
  const known = await findCredentials(deps.db, email)
  // One hash in every case: made for a new address, compared for one that waits, compared with nothing for a taken one.
  const passwordHash = known ? null : await deps.passwords.hash(password, signal)
  const waiting = known?.email_verified ? undefined : known?.password_hash
  const again = known !== undefined && (await deps.passwords.verify(waiting, password, signal))
  try {
    const made = await commit(deps, async (trx, { request }) => {
      if (keyed) await lockKey(trx, email, keyed)
      // Asked for a new address too: it takes the same statements.
      const done = keyed && (await wasDone(trx, known?.id ?? '', keyed))
      // Of an address that waits, only the password that it waits with is the same request again.
      if (done && (again || known?.email_verified)) return undefined
      // Past the share too: else an attacker who used it up would have the victim confirm one of the mails before.
      if (known && !again) await contestUnverifiedAccount(trx, email)
      const outcome = await request({ kind: 'signup', recipient: email })
      assertRoom(outcome)
      // Strangers can use the share up, by tags. The address without one gets a mail of its own when it has no account.
      if (outcome !== 'accepted' && (known || !isPlain(email))) return undefined
      const user = passwordHash === null ? known : await insertWaitingUser(trx, { email, name, passwordHash })
      if (!user) throw new Problem('email_already_registered')
      if (keyed) await keep(trx, user.id, keyed, null)
      return passwordHash === null ? undefined : user
    })
    // Not in the transaction: a new address must cost it no more than a taken one.
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
 * Takes the token that was mailed to an address as the proof of it: of the account's own, or of the one that it is to
 * change to.
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
    // Somebody else has signed up with the address since it was asked for.
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
  // Two parties signed up, and only the mailbox knows which it is: no password counts until it has chosen one, and
  // nobody stays in. An account in use keeps what is in it, since its reader has just said that it is theirs.
  await setOwnedPasswordHash(trx, owner, null)
  if (account.waiting) await resetOwnedName(trx, owner)
  await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
}

/** Ends every session: which of them the change was asked from is not known here, and a thief may have asked. */
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
  // One that nobody has proved may be a stranger's to name.
  if (account.email && account.email_verified) {
    effects.notices.push({ kind: 'email_changed', userId: owner, recipient: account.email, ip })
  }
  await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
}
