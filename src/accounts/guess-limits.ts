import { createHmac } from 'node:crypto'
import { derivedKeys } from '../keys/derived-keys.ts'
import { clientKey } from '../limits/address.ts'
import type { Budgets } from '../limits/budgets.ts'
import type { Count, Counter, Counters } from '../limits/counters.ts'
import { rateLimited } from '../limits/refusal.ts'
import type { PasswordReset } from '../users/password-resets.ts'

/** An attempt at an account's password. */
export interface Guess {
  /** Canonical; it may have no account. */
  readonly email: string
  /** Undefined without an account, which is counted all the same. */
  readonly userId: string | undefined
  readonly ip: string
  /** A session of the account whose refresh token the device has presented. */
  readonly device?: string | undefined
  /** The last reset of the account. */
  readonly reset?: PasswordReset | null | undefined
}

/** Limits by account, from whatever address the requests come. */
export interface AccountLimits {
  /**
   * Verifies a password unless too many were wrong. A right password does not count.
   * @throws Problem rate_limited, and whatever `verify` throws, which does not count either
   */
  guess(guess: Guess, verify: () => Promise<boolean>): Promise<boolean>
}

interface Options {
  readonly counters: Counters
  readonly budgets: Budgets
  readonly secret: string
  readonly onReached: (counter: Counter, guess: Pick<Guess, 'userId' | 'ip'> | undefined) => void
}

export function createAccountLimits(options: Options): AccountLimits {
  const { counters, budgets, onReached } = options
  // A MAC: neither Redis nor a log contains addresses, or hashes that a list of addresses could be matched with.
  const { current: key } = derivedKeys(options.secret, undefined, 'rate limit')
  // A reset renames the counters, which restarts them on every instance and in Redis.
  const nameOf = ({ email, reset }: Guess) =>
    createHmac('sha256', key)
      .update(reset ? `${email} ${reset.at}` : email)
      .digest('base64url')
      .slice(0, 22)

  // No lookup here: the timing of a refusal must not reveal an account.
  function isKnown({ device, reset, ip }: Guess): boolean {
    if (device !== undefined) return true
    // The address of a reset, which proves the mailbox, counts as known for one window.
    const isRecent = reset && reset.ageSeconds * 1000 < budgets.account.timeWindow
    return Boolean(isRecent) && clientKey(reset?.ip ?? '') === clientKey(ip)
  }

  function refuse(counter: Counter, count: Count, guess: Guess): never {
    onReached(counter, guess)
    throw rateLimited(counter, count)
  }

  return {
    async guess(guess, verify) {
      const name = nameOf(guess)
      const account: Counter = { limit: 'account', key: name }
      const pair: Counter = { limit: 'pair', key: `${name} ${guess.device ?? clientKey(guess.ip)}` }
      // Counted before the password is verified, so that concurrent guesses cannot exceed the budget.
      const [ofAccount, ofPair] = await counters.take([account, pair])
      if (!ofAccount || !ofPair) throw new Error('the counters returned no count')
      const counted = [...(ofAccount.refused ? [] : [account]), ...(ofPair.refused ? [] : [pair])]
      try {
        if (ofPair.refused) refuse(pair, ofPair, guess)
        if (ofAccount.refused && !isKnown(guess)) refuse(account, ofAccount, guess)
        const matched = await verify()
        if (matched) counters.giveBack(counted)
        return matched
      } catch (error) {
        // No password was verified, so neither counter keeps the guess.
        counters.giveBack(counted)
        throw error
      }
    },
  }
}
