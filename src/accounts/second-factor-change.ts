import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { newRecoveryCodes, recoveryCodeMac } from '../second-factor/codes.ts'
import { findFactor, isEnrolled, replaceOwnedRecoveryCodes } from '../second-factor/repository.ts'
import type { Caller } from '../sessions/caller.ts'
import type { Effects } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { ownedAttempt, secretOf, withCode } from './second-factor-code.ts'
import { removeFactorIn } from './second-factor-removal.ts'

/**
 * Replaces the recovery codes.
 * @throws Problem second_factor_not_enrolled, invalid_code, rate_limited, service_unavailable
 */
export async function renewRecoveryCodes(
  deps: AccountDeps,
  owner: OwnerId,
  code: string,
  caller: Caller,
): Promise<string[]> {
  const { sid, ip } = caller
  return withOwnedCode(deps, owner, { code, caller }, async (trx, effects) => {
    const factor = await findFactor(trx, owner)
    if (!factor) throw new Problem('second_factor_not_enrolled')
    const secret = secretOf(deps, factor)
    const codes = newRecoveryCodes()
    const macs = codes.map((text) => recoveryCodeMac(secret, text))
    await replaceOwnedRecoveryCodes(trx, owner, macs)
    effects.events.push({ event: 'recovery_codes_replaced', userId: owner, sessionId: sid || undefined, ip })
    effects.notices.push({ kind: 'recovery_codes_replaced', userId: owner, ip })
    return codes
  })
}

/**
 * Removes the second factor with its recovery codes. Every other session ends; where the service requires a factor of
 * all, this one too, since its access token would go on to say that there was one.
 * @throws Problem second_factor_not_enrolled, invalid_code, rate_limited, service_unavailable
 */
export async function removeTotp(
  deps: AccountDeps,
  owner: OwnerId,
  code: string,
  caller: Caller,
): Promise<void> {
  const { sid, ip } = caller
  const which = deps.sessionPolicy.secondFactor === 'all' ? 'all' : { except: sid }
  await withOwnedCode(deps, owner, { code, caller }, async (trx, effects) => {
    await removeFactorIn(trx, { owner, sid: sid || undefined, ip }, effects)
    await endAccess(trx, deps, { owner, which, ip }, effects)
  })
}

async function withOwnedCode<T>(
  deps: AccountDeps,
  owner: OwnerId,
  { code, caller }: { readonly code: string; readonly caller: Caller },
  work: (trx: Trx, effects: Effects) => Promise<T>,
): Promise<T> {
  // Before the code counts as a guess.
  if (!(await isEnrolled(deps.db, owner))) throw new Problem('second_factor_not_enrolled')
  return withCode(deps, await ownedAttempt(deps, owner, { code, caller }), work)
}
