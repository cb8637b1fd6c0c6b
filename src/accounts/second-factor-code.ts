import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { parseCode, recoveryCodeMac } from '../second-factor/codes.ts'
import { type Factor, findFactor, useRecoveryCode, useStep } from '../second-factor/repository.ts'
import { unsealSecret } from '../second-factor/sealed-secret.ts'
import { matchingStep } from '../second-factor/totp.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit, type Effects } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { PasswordReset } from '../users/password-resets.ts'
import { findOwnedPasswordHash } from '../users/repository.ts'
import { lockUser } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'

export interface CodeAttempt {
  readonly userId: string
  /** What guesses are counted by, as at a login. */
  readonly email: string
  readonly reset: PasswordReset | null
  readonly code: string
  readonly caller: Caller
  /** A session of the account whose refresh token the device has presented. */
  readonly device?: string | undefined
}

/** A code given by the owner of a session. */
export async function ownedAttempt(
  { db }: Pick<AccountDeps, 'db'>,
  owner: OwnerId,
  { code, caller }: Pick<CodeAttempt, 'code' | 'caller'>,
): Promise<CodeAttempt> {
  const account = await findOwnedPasswordHash(db, owner)
  return { userId: owner, email: account?.email ?? owner, reset: account?.reset ?? null, code, caller }
}

/**
 * Does what a code of the second factor allows, in the transaction that uses the code up: if `work` fails, the code is
 * still good. The user's row is locked, so no two codes of an account are used at once.
 * @throws Problem second_factor_not_enrolled, invalid_code, rate_limited, service_unavailable, and whatever `work` does
 */
export async function withCode<T>(
  deps: AccountDeps,
  attempt: CodeAttempt,
  work: (trx: Trx, effects: Effects) => Promise<T>,
): Promise<T> {
  const { userId, email, reset, caller, device = caller.sid || undefined } = attempt
  const from = { userId, sessionId: caller.sid || undefined, ip: caller.ip }
  let outcome: { readonly done: T } | undefined
  await deps.accountLimits.guess({ userId, email, reset, device, ip: caller.ip, isCode: true }, async () => {
    outcome = await commit(deps, async (trx, effects) => {
      await lockUser(trx, userId)
      const used = await useCode(trx, deps, attempt)
      if (!used) {
        effects.events.push({ event: 'second_factor_failed', ...from })
        effects.notices.push({ kind: 'second_factor_failed', userId, ip: caller.ip })
        return undefined
      }
      if (used === 'recovery_code') {
        effects.events.push({ event: 'recovery_code_used', ...from })
        effects.notices.push({ kind: 'recovery_code_used', userId, ip: caller.ip })
      }
      return { done: await work(trx, effects) }
    })
    return outcome !== undefined
  })
  if (!outcome) throw new Problem('invalid_code')
  return outcome.done
}

/** @returns the kind of code, undefined for a wrong or used one */
async function useCode(
  trx: Trx,
  deps: AccountDeps,
  { userId, code }: CodeAttempt,
): Promise<'totp' | 'recovery_code' | undefined> {
  const factor = await findFactor(trx, userId)
  if (!factor?.confirmed_at) throw new Problem('second_factor_not_enrolled')
  const secret = secretOf(deps, factor)
  const parsed = parseCode(code)
  if (parsed?.kind === 'totp') {
    const step = matchingStep(secret, parsed.code, {
      now: deps.sessionPolicy.clock(),
      lastStep: factor.last_step,
    })
    return step !== undefined && (await useStep(trx, factor, step)) ? 'totp' : undefined
  }
  if (parsed?.kind !== 'recovery_code') return undefined
  return (await useRecoveryCode(trx, userId, recoveryCodeMac(secret, parsed.code)))
    ? 'recovery_code'
    : undefined
}

/**
 * A factor's secret.
 * @throws Problem service_unavailable when neither secret decrypts it: the factor is not skipped (fail closed)
 */
export function secretOf(
  { secondFactor, log }: Pick<AccountDeps, 'secondFactor' | 'log'>,
  { user_id, secret }: Pick<Factor, 'user_id' | 'secret'>,
): Buffer {
  const opened = unsealSecret(secondFactor.factorKeys, { secret }, user_id)
  if (opened) return opened
  log.warn(
    { event: 'second_factor_undecryptable', user_id },
    'a second factor was encrypted under another SECRET_KEY: set SECRET_KEY_PREVIOUS to that one, or reset the factor',
  )
  throw new Problem('service_unavailable', { reason: 'second_factor_undecryptable' })
}
