import { Problem } from '../problem.ts'
import { newRecoveryCodes, parseCode, recoveryCodeMac } from '../second-factor/codes.ts'
import {
  confirmOwnedFactor,
  findFactor,
  putOwnedSetup,
  replaceOwnedRecoveryCodes,
} from '../second-factor/repository.ts'
import { sealSecret } from '../second-factor/sealed-secret.ts'
import { base32, matchingStep, newTotpSecret, otpauthUri } from '../second-factor/totp.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { findOwnedPasswordHash } from '../users/repository.ts'
import { lockUser } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { withOwnedPassword } from './password-check.ts'
import { secretOf } from './second-factor-code.ts'

/** What an authenticator app takes. */
export interface TotpSetup {
  readonly secret: string
  readonly otpauth_uri: string
}

/**
 * Begins to set a second factor up, for the right password. It counts for nothing until it is confirmed.
 * @throws Problem second_factor_enrolled, user_not_found, invalid_credentials, rate_limited, service_unavailable
 */
export async function setUpTotp(
  deps: AccountDeps,
  owner: OwnerId,
  password: string,
  caller: Caller,
): Promise<TotpSetup> {
  return withOwnedPassword(deps, owner, password, caller, async (hash) => {
    const secret = newTotpSecret()
    const sealed = sealSecret(deps.secondFactor.factorKeys, secret, owner)
    const isStored = await commit(deps, async (trx) => {
      if ((await lockUser(trx, owner)) !== hash) return undefined
      return putOwnedSetup(trx, owner, sealed)
    })
    if (isStored === undefined) return undefined
    if (!isStored) throw new Problem('second_factor_enrolled')
    const account = (await findOwnedPasswordHash(deps.db, owner))?.email ?? owner
    const { issuer } = deps.secondFactor
    return { secret: base32(secret), otpauth_uri: otpauthUri(secret, { issuer, account }) }
  })
}

/**
 * Confirms the setup by its first code. Every other session ends, since it was opened without the factor; this one goes
 * on without it until it reauthenticates.
 * @returns the recovery codes, which are not to be had again
 * @throws Problem second_factor_enrolled, second_factor_not_enrolled, invalid_code, rate_limited, service_unavailable
 */
export async function confirmTotp(
  deps: AccountDeps,
  owner: OwnerId,
  code: string,
  caller: Caller,
): Promise<string[]> {
  const { sid, ip } = caller
  const account = await findOwnedPasswordHash(deps.db, owner)
  const codes = newRecoveryCodes()
  const guess = { userId: owner, email: account?.email ?? owner, reset: account?.reset, ip, isCode: true }
  const isRight = await deps.accountLimits.guess({ ...guess, device: sid || undefined }, () =>
    commit(deps, async (trx, effects) => {
      await lockUser(trx, owner)
      const setup = await findFactor(trx, owner)
      if (!setup) throw new Problem('second_factor_not_enrolled')
      if (setup.confirmed_at) throw new Problem('second_factor_enrolled')
      const secret = secretOf(deps, setup)
      const parsed = parseCode(code)
      const now = deps.sessionPolicy.clock()
      const step =
        parsed?.kind === 'totp' ? matchingStep(secret, parsed.code, { now, lastStep: 0 }) : undefined
      if (step === undefined || !(await confirmOwnedFactor(trx, owner, { id: setup.id, step }))) return false
      const macs = codes.map((text) => recoveryCodeMac(secret, text))
      await replaceOwnedRecoveryCodes(trx, owner, macs)
      effects.events.push({ event: 'factor_added', userId: owner, sessionId: sid || undefined, ip })
      effects.notices.push({ kind: 'factor_added', userId: owner, ip })
      await endAccess(trx, deps, { owner, which: { except: sid }, ip }, effects)
      return true
    }),
  )
  if (!isRight) throw new Problem('invalid_code')
  return codes
}
