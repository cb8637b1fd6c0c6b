import { Problem } from '../problem.ts'
import { type PresentedMfaToken, parseMfaToken } from '../second-factor/mfa-token.ts'
import { isUsedMfaToken, useMfaToken } from '../second-factor/repository.ts'
import type { Caller } from '../sessions/caller.ts'
import type { SignedIn } from '../sessions/opening.ts'
import { type Credentials, findCredentialsById } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { openVerifiedIn } from './opening.ts'
import type { Verified } from './password-check.ts'
import { withCode } from './second-factor-code.ts'

/**
 * Opens a session for the mfa token of a right password and a code of the account's second factor. A wrong code does
 * not use the token up; a session does.
 * @throws Problem invalid_token, account_disabled, invalid_code, rate_limited, service_unavailable
 */
export async function logInWithSecondFactor(
  deps: AccountDeps,
  { mfaToken, code }: { readonly mfaToken: string; readonly code: string },
  caller: Caller,
): Promise<SignedIn> {
  const token = parseMfaToken(mfaToken)
  if (!token || token.expiresAt <= deps.sessionPolicy.clock()) throw new Problem('invalid_token')
  const verified = await accountOf(deps, token)
  // Before the code: a used token must not serve to try codes.
  if (await isUsedMfaToken(deps.db, token.hash)) throw new Problem('invalid_token', { reason: 'used' })
  const { id: userId, email, reset } = verified.account
  const attempt = { userId, email: email ?? userId, reset, code, caller, device: token.device }
  try {
    return await withCode(deps, attempt, async (trx, effects) => {
      if (!(await useMfaToken(trx, token))) throw new Problem('invalid_token', { reason: 'used' })
      const signedIn = await openVerifiedIn(trx, deps, { ...verified, secondFactor: true, caller }, effects)
      if (!signedIn) throw new Problem('invalid_token', { reason: 'replaced' })
      return signedIn
    })
  } catch (error) {
    // The factor was removed while the code was under way.
    const isGone = error instanceof Problem && error.code === 'second_factor_not_enrolled'
    throw isGone ? new Problem('invalid_token', { reason: 'replaced' }) : error
  }
}

/** @throws Problem invalid_token when the password or the factor is another one by now; account_disabled */
async function accountOf(deps: AccountDeps, token: PresentedMfaToken): Promise<Verified<Credentials>> {
  const account = await findCredentialsById(deps.db, token.userId)
  const { password_hash: hash, second_factor: factor } = account ?? {}
  if (!account || !hash || !factor) throw new Problem('invalid_token')
  if (!token.verifies(deps.secondFactor.tokenKeys, { passwordHash: hash, factor })) {
    throw new Problem('invalid_token')
  }
  // The token proves the password, so this reveals no more than a login does.
  if (account.banned) throw new Problem('account_disabled')
  return { account, hash }
}
