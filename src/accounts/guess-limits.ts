import { createHmac } from 'node:crypto'
import { derivedKeys } from '../keys/derived-keys.ts'
import { clientKey } from '../limits/address.ts'
import type { Budgets } from '../limits/budgets.ts'
import type { Count, Counter, Counters } from '../limits/counters.ts'
import { Problem } from '../problem.ts'
import type { PasswordReset } from '../users/password-resets.ts'

/** Who tries a password, and from where. */
export interface Guess {
  /** In its canonical form; nothing is told of whether it has an account. */
  readonly email: string
  /** Undefined where there is no such account, which is counted all the same. */
  readonly userId: string | undefined
  readonly ip: string
  /** A session of the account that this device has shown to have been in: it has logged in before. */
  readonly device?: string | undefined
  /** The last reset of the account. */
  readonly reset?: PasswordReset | null | undefined
}

/** Limits on what concerns one account, wherever it comes from. */
export interface AccountLimits {
  /**
   * Verifies a password unless too many were wrong; what was right does not count.
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
  // Keyed, so that neither Redis nor a log has addresses, nor hashes that a list of addresses could be held against.
  const { current: key } = derivedKeys(options.secret, undefined, 'rate limit')
  // A reset begins all counters of the account anew, on every instance and in Redis, since it changes their name.
  const nameOf = ({ email, reset }: Guess) =>
    createHmac('sha256', key)
      .update(reset ? `${email} ${reset.at}` : email)
      .digest('base64url')
      .slice(0, 22)

  // Nothing is looked up here: the time of a refusal must not depend on the account.
  function isKnown({ device, reset, ip }: Guess): boolean {
    if (device !== undefined) return true
    // Of addresses only that of a reset, which proves the mailbox, and for one window.
    const isRecent = reset && reset.ageSeconds * 1000 < budgets.account.timeWindow
    return Boolean(isRecent) && clientKey(reset?.ip ?? '') === clientKey(ip)
  }

  function refuse(counter: Counter, count: Count, guess: Guess): never {
    onReached(counter, guess)
    const seconds = String(Math.ceil(count.resetMs / 1000))
    throw new Problem('rate_limited', {
      reason: counter.limit,
      headers: {
        'retry-after': seconds,
        'ratelimit-limit': String(count.max),
        'ratelimit-remaining': '0',
        'ratelimit-reset': seconds,
      },
    })
  }

  return {
    async guess(guess, verify) {
      const name = nameOf(guess)
      const account: Counter = { limit: 'account', key: name }
      const pair: Counter = { limit: 'pair', key: `${name} ${guess.device ?? clientKey(guess.ip)}` }
      // Counted before it is verified: of many at once, no more than the budget are.
      const [ofAccount, ofPair] = await counters.take([account, pair])
      if (!ofAccount || !ofPair) throw new Error('a counter without a count')
      const counted = [...(ofAccount.refused ? [] : [account]), ...(ofPair.refused ? [] : [pair])]
      try {
        if (ofPair.refused) refuse(pair, ofPair, guess)
        if (ofAccount.refused && !isKnown(guess)) refuse(account, ofAccount, guess)
        const matched = await verify()
        if (matched) counters.giveBack(counted)
        return matched
      } catch (error) {
        // Nothing was found out: what one counter refused does not count in the other.
        counters.giveBack(counted)
        throw error
      }
    },
  }
}
