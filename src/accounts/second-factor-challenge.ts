import { Problem } from '../problem.ts'
import { codeKinds } from '../second-factor/codes.ts'
import { mfaTokenSeconds, newMfaToken } from '../second-factor/mfa-token.ts'
import type { AccountDeps } from './deps.ts'

interface Challenged {
  readonly userId: string
  /** A session of the account whose refresh token the device has presented. */
  readonly device: string | undefined
  readonly passwordHash: string
  /** The id of the factor. */
  readonly factor: string
}

/** The answer to the right password of an account with a second factor: the login goes on with a code. */
export function challenge(
  { secondFactor, sessionPolicy }: Pick<AccountDeps, 'secondFactor' | 'sessionPolicy'>,
  { userId, device, passwordHash, factor }: Challenged,
): Problem {
  const expiresAt = sessionPolicy.clock() + mfaTokenSeconds
  const token = newMfaToken(secondFactor.tokenKeys, { userId, device, expiresAt }, { passwordHash, factor })
  return new Problem('second_factor_required', { extensions: { mfa_token: token, methods: codeKinds } })
}

/** The answer where a session's user is asked for a code besides the password: nothing is left to go on with. */
export function codeRequired(): Problem {
  return new Problem('second_factor_required', { extensions: { methods: codeKinds } })
}
