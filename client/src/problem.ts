import type { components } from './schema.ts'

/** An error of the service, RFC 9457. */
export type Problem = components['schemas']['Problem']

/** What a program switches over; each is explained in the service's docs/errors.md. */
export type ProblemCode = Problem['code']

/**
 * Whether something is an error that the service answered, and one of these codes if any are named. A gateway on the
 * way answers in forms of its own.
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

/** The code of an answer that is a problem; the answer can still be read. */
export async function codeOf(answer: Response): Promise<ProblemCode | undefined> {
  const body = await bodyOf(answer)
  return isProblem(body) ? body.code : undefined
}

/** The JSON of an answer that can still be read, or null. */
export async function bodyOf(answer: Response): Promise<unknown> {
  return answer
    .clone()
    .json()
    .catch(() => null)
}
