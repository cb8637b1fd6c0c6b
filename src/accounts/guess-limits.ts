import { createHmac } from 'node:crypto'
import { derivedKeys } from '../keys/derived-keys.ts'
import { clientKey } from '../limits/address.ts'
import type { Budgets } from '../limits/budgets.ts'
import type { Count, Counter, Counters } from '../limits/counters.ts'
import { rateLimited } from '../limits/refusal.ts'
import type { PasswordReset } from '../users/password-resets.ts'

/** An attempt at an account's password, or at a code of its second factor. */
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
  /** A code; else a password. */
  readonly isCode?: boolean
}

/** Limits by account, from whatever address the requests come. */
export interface AccountLimits {
  /**
   * Verifies a password or a code unless too many of either were wrong: both use the same budget. A right one does not
   * count, and does not uncount the wrong ones before it.
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

interface CounterPair {
  readonly account: Counter
  readonly pair: Counter
  /** Whether the pair alone bounds the guess, so that strangers cannot lock the account's user out. */
  readonly known: boolean
}

export function createAccountLimits(options: Options): AccountLimits {
  const { counters, budgets, onReached } = options
  // A MAC: neither Redis nor a log contains addresses, or hashes that a list of addresses could be matched with.
  const { current: key } = derivedKeys(options.secret, undefined, 'rate limit')
  // A reset renames the counters, which restarts them on every instance and in Redis.
  const macOf = (text: string) => createHmac('sha256', key).update(text).digest('base64url').slice(0, 22)
  const nameOf = ({ email, reset }: Guess) => macOf(reset ? `${email} ${reset.at}` : email)

  // No lookup here: the timing of a refusal must not reveal an account.
  function isKnown({ device, reset, ip }: Guess): boolean {
    if (device !== undefined) return true
    // The address of a reset, which proves the mailbox, counts as known for one window.
    const isRecent = reset && reset.ageSeconds * 1000 < budgets.account.timeWindow
    return Boolean(isRecent) && clientKey(reset?.ip ?? '') === clientKey(ip)
  }

  /** The counters of a guess: of the account, and of the account and the device. */
  function countersOf(guess: Guess): CounterPair[] {
    const pair = (name: string, known: boolean): CounterPair => ({
      account: { limit: 'account', key: name },
      pair: { limit: 'pair', key: `${name} ${guess.device ?? clientKey(guess.ip)}` },
      known,
    })
    const shared = pair(nameOf(guess), isKnown(guess))
    // Codes count a second time, where no reset restarts the counters or makes an address known: an attacker who reads
    // the mailbox can reset the password again and again, and the code is what still keeps him out.
    return guess.isCode
      ? [shared, pair(macOf(`second factor ${guess.userId}`), guess.device !== undefined)]
      : [shared]
  }

  function refuse(counter: Counter, count: Count, guess: Guess): never {
    onReached(counter, guess)
    throw rateLimited(counter, count)
  }

  return {
    async guess(guess, verify) {
      const pairs = countersOf(guess)
      const taken = pairs.flatMap(({ account, pair }) => [account, pair])
      // Counted before anything is verified, so that concurrent guesses cannot exceed the budget.
      const counts = await counters.take(taken)
      const countOf = (counter: Counter): Count => {
        const count = counts[taken.indexOf(counter)]
        if (!count) throw new Error('the counters returned no count')
        return count
      }
      const counted = taken.filter((counter) => !countOf(counter).refused)
      try {
        for (const { pair } of pairs) if (countOf(pair).refused) refuse(pair, countOf(pair), guess)
        for (const { account, known } of pairs)
          if (countOf(account).refused && !known) refuse(account, countOf(account), guess)
        const matched = await verify()
        if (matched) counters.giveBack(counted)
        return matched
      } catch (error) {
        // Nothing was verified, so no counter keeps the guess.
        counters.giveBack(counted)
        throw error
      }
    },
  }
}
