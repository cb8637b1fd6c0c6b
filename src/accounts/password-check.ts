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

interface Attempt {
  /** What a wrong password is, in the log of security events. */
  readonly failure: 'login_failed' | 'reauthentication_failed'
  readonly password: string
  /** Whose guesses are counted: the canonical address, whether it has an account or not. */
  readonly email: string
  readonly ip: string
  /** Of the session that the password is asked for in. */
  readonly sessionId?: string | undefined
  /** A session of the account that the device has proved to have been in. */
  readonly device?: string | undefined
  /** Aborts when the client disconnects before its answer. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Does what the right password allows. `work` is given the hash that matched, compares it again under the user's
 * lock, and does nothing and returns undefined where it has become another. Then all begins anew, once: if a login has
 * upgraded the hash meanwhile, the password matches the new one; if it was changed, it does not.
 * @throws Problem invalid_credentials, rate_limited, service_unavailable, and whatever `find` and `work` do
 */
export async function withPassword<Account extends Found, T>(
  { passwords, accountLimits, securityEvents }: Deps,
  { password, signal, failure, ...from }: Attempt,
  find: () => Promise<Account | undefined>,
  work: (found: Account, hash: string) => Promise<T | undefined>,
): Promise<T> {
  let found: Account | undefined
  for (let attempt = 1; attempt <= 2; attempt++) {
    found = await find()
    const guess = { ...from, userId: found?.id, reset: found?.reset, device: from.device ?? from.sessionId }
    const matched = await accountLimits.guess(guess, () =>
      passwords.verify(found?.password_hash, password, signal),
    )
    if (!found?.password_hash || !matched) break
    const done = await work(found, found.password_hash)
    if (done !== undefined) return done
  }
  securityEvents.note({ event: failure, userId: found?.id, sessionId: from.sessionId, ip: from.ip })
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
  { sid, ip, signal }: Caller,
  work: (hash: string) => Promise<T | undefined>,
): Promise<T> {
  const find = async () => {
    const found = await findOwnedPasswordHash(deps.db, owner)
    if (!found) throw new Problem('user_not_found')
    return { ...found, id: owner }
  }
  const { email } = await find()
  const failure = 'reauthentication_failed' as const
  const attempt = { failure, password, email: email ?? owner, ip, sessionId: sid || undefined, signal }
  return withPassword(deps, attempt, find, (_, hash) => work(hash))
}
