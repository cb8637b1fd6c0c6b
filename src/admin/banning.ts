import { endAccess } from '../accounts/end-access.ts'
import { endKeysIn } from '../api-keys/ending.ts'
import { fieldProblem } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { insertBan, liftBan } from '../sessions/revocation-repository.ts'
import { issuerOf, ownerByOperator, subjectOf } from '../tokens/owner.ts'
import { looksMinted } from '../tokens/user-id.ts'
import { clearBan, type NewBan, setBan } from '../users/bans.ts'
import { insertForeignUser } from '../users/creation.ts'
import { lockUser } from '../users/without-owner.ts'
import { commitAs, type Operator } from './operator.ts'

interface NewBanOfUser extends NewBan {
  readonly userId: string
  /** Names of the trusted issuers, whose users have a row only once they have stored something. */
  readonly trustedIssuers: readonly string[]
}

/**
 * Bans a user: every session, API key and token ends, and until the ban ends no new one is accepted.
 * @throws Problem validation_failed when `until` has passed, user_not_found
 */
export async function banUser(
  deps: SessionDeps,
  operator: Operator,
  { userId, trustedIssuers, reason, ...ban }: NewBanOfUser,
): Promise<void> {
  const until = ban.until === undefined ? undefined : futureTime(ban.until, deps.sessionPolicy.clock())
  const owner = ownerByOperator(userId)
  const foreign = foreignUser(userId, trustedIssuers)
  await commitAs(deps, operator, async (trx, effects) => {
    if (foreign) await insertForeignUser(trx, foreign)
    // Whatever opens a session or makes a key takes the same lock, and sees the ban after it.
    if ((await lockUser(trx, owner)) === undefined) throw new Problem('user_not_found')
    await setBan(trx, owner, { until, reason })
    await endAccess(trx, deps, { owner, which: 'all', ip: undefined }, effects)
    await endKeysIn(trx, { userId: owner, ip: undefined }, effects)
    effects.revoked.push(...(await insertBan(trx, owner, until)))
    effects.events.push({ event: 'user_banned', userId })
  })
}

/**
 * Lifts a ban, if there is one. What it has ended stays ended.
 * @throws Problem user_not_found
 */
export async function unbanUser(deps: SessionDeps, operator: Operator, userId: string): Promise<void> {
  await commitAs(deps, operator, async (trx, effects) => {
    const exists = (await lockUser(trx, userId)) !== undefined
    const lifted = await liftBan(trx, userId)
    // The ban of a foreign user outlives the deletion of what is stored about the user.
    if (!exists && lifted.length === 0) throw new Problem('user_not_found')
    await clearBan(trx, userId)
    effects.revoked.push(...lifted)
    effects.events.push({ event: 'user_unbanned', userId })
  })
}

/**
 * @returns in UTC, since the database takes fewer time zones than RFC 3339 has
 * @throws Problem validation_failed
 */
function futureTime(text: string, now: number): string {
  const ms = Date.parse(text)
  if (!(ms > now * 1000)) throw fieldProblem('until', 'must be in the future')
  return new Date(ms).toISOString()
}

const subject = /^[\x21-\x7e]{1,255}$/

/** The row of a trusted issuer's user; undefined for any other id. */
function foreignUser(id: string, trustedIssuers: readonly string[]) {
  const [issuer, sub] = [issuerOf(id), subjectOf(id)]
  if (issuer === undefined || !trustedIssuers.includes(issuer)) return undefined
  if (!subject.test(sub) || looksMinted(sub)) return undefined
  return { id, issuer, subject: sub, email: null, emailVerified: false, name: sub.slice(0, 100) }
}
