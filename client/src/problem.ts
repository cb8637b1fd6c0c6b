import type { components } from './schema.ts'

/** An error of the service, RFC 9457. */
export type Problem = components['schemas']['Problem']

/** For programs to switch over; the service's docs/errors.md explains each. */
export type ProblemCode = Problem['code']

/**
 * Whether a value is a problem of the service, with one of the codes if any are given. A gateway's errors have other
 * forms.
 */
export function isProblem<Code extends ProblemCode = ProblemCode>(
  error: unknown,
  ...codes: Code[]
): error is Problem & { code: Code } {
  if (typeof error !== 'object' || error === null) return false
  const { code, request_id } = error as Partial<Problem>
  if (typeof code !== 'string' || typeof request_id !== 'string') return false
  return codes.length === 0 || codes.includes(code as Code)
}

/** The code of a problem response; its body stays readable. */
export async function codeOf(answer: Response): Promise<ProblemCode | undefined> {
  const body = await bodyOf(answer)
  return isProblem(body) ? body.code : undefined
}

/** The JSON of a response, or null; its body stays readable. */
export async function bodyOf(answer: Response): Promise<unknown> {
  return answer
    .clone()
    .json()
    .catch(() => null)
}
