import { Problem } from '../problem.ts'
import { hasDeliverableLocalPart, longestLocalPart } from '../users/email.ts'
import type { Blocklist } from './blocklist.ts'
import { lengthAsHashed, passwordLength } from './pool.ts'

/**
 * Checks a new password; `path` is its field in the request, `email` the account's address.
 * @throws Problem validation_failed, password_too_common
 */
export function assertAcceptable(
  { blocklist }: { readonly blocklist: Blocklist },
  password: string,
  { path, email }: { path: string; email: string | null },
): void {
  // The schema bounds the raw text; NFC can still shorten it below the minimum.
  if (lengthAsHashed(password) < passwordLength.min) {
    throw fieldProblem(path, `must NOT have fewer than ${passwordLength.min} characters`)
  }
  if (blocklist.refuses(password, email)) {
    throw new Problem('password_too_common', { errors: [{ path, message: 'is easy to guess' }] })
  }
}

/** @throws Problem validation_failed for an address that mail servers refuse */
export function assertDeliverable(address: string, path: string): void {
  if (hasDeliverableLocalPart(address)) return
  throw fieldProblem(path, `must NOT have more than ${longestLocalPart} characters before the @`)
}

export function fieldProblem(path: string, message: string): Problem {
  return new Problem('validation_failed', { errors: [{ path, message }] })
}
