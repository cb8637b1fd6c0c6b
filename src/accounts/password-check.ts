import type { EventBuffer } from '../audit.ts'
import type { Db } from '../db/schema.ts'
import type { Passwords } from '../passwords/pool.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { PasswordReset } from '../users/password-resets.ts'
import { findOwnedPasswordHash } from '../users/repository.ts'
import type { AccountLimits } from './guess-limits.ts'

interface Deps {
  readonly passwords: Passwords
  readonly accountLimits: AccountLimits
  readonly securityEvents: Pick<EventBuffer, 'note'>
}

interface Found {
  readonly id?: string
  readonly password_hash: string | null
  readonly reset: PasswordReset | null
}

export interface Attempt {
  /** The security event of a wrong password. */
  readonly failure: 'login_failed' | 'reauthentication_failed'
  readonly password: string
  /** Guesses are counted by it: the canonical address, whether it has an account or not. */
  readonly email: string
  readonly caller: Caller
  /** A session of the account whose refresh token the device has presented. */
  readonly device?: string | undefined
}

/** An account whose password has been verified, and the hash that matched. */
export interface Verified<Account> {
  readonly account: Account
  readonly hash: string
}

/**
 * Does what the right password allows. `work` compares the hash again under the user's lock, and returns undefined
 * where another has replaced it. Then all is tried once more: after a concurrent hash upgrade the password matches the
 * new hash, after a password change it does not.
 * @throws Problem invalid_credentials, rate_limited, service_unavailable, and whatever `find` and `work` do
 */
export async function withPassword<Account extends Found, T>(
  deps: Deps,
  attempt: Attempt,
  find: () => Promise<Account | undefined>,
  work: (verified: Verified<Account>) => Promise<T | undefined>,
): Promise<T> {
  for (let retries = 1; ; retries--) {
    const account = await find()
    const verified = await verify(deps, attempt, account)
    const done = verified && (await work(verified))
    if (done !== undefined) return done
    if (!verified || retries === 0) refuse(deps, attempt, account?.id)
  }
}

/** @returns undefined for a wrong password, and for no account at the same cost */
async function verify<Account extends Found>(
  { passwords, accountLimits }: Deps,
  { email, password, caller: { ip, sid, signal }, device = sid || undefined }: Attempt,
  account: Account | undefined,
): Promise<Verified<Account> | undefined> {
  const hash = account?.password_hash
  const guess = { email, ip, device, userId: account?.id, reset: account?.reset }
  const matched = await accountLimits.guess(guess, () => passwords.verify(hash, password, signal))
  return account && hash && matched ? { account, hash } : undefined
}

function refuse({ securityEvents }: Deps, { failure, caller }: Attempt, userId: string | undefined): never {
  securityEvents.note({ event: failure, userId, sessionId: caller.sid || undefined, ip: caller.ip })
  throw new Problem('invalid_credentials')
}

/**
 * The same for the account that a token speaks for.
 * @throws Problem user_not_found, invalid_credentials, rate_limited, service_unavailable, and whatever `work` does
 */
export async function withOwnedPassword<T>(
  deps: Deps & { readonly db: Db },
  owner: OwnerId,
  password: string,
  caller: Caller,
  work: (hash: string) => Promise<T | undefined>,
): Promise<T> {
  const find = async () => {
    const found = await findOwnedPasswordHash(deps.db, owner)
    if (!found) throw new Problem('user_not_found')
    return { ...found, id: owner }
  }
  const { email } = await find()
  const attempt = { failure: 'reauthentication_failed', password, email: email ?? owner, caller } as const
  return withPassword(deps, attempt, find, ({ hash }) => work(hash))
}
