import { type Parameters, parseParameters } from './parameters.ts'
import { refused } from './refused.ts'

/** The path at which a gateway asks. */
export const verifyPath = '/gateway/verify'

/** What a request target asks: the parameters, and the original target that was appended to it. */
export interface Question {
  readonly parameters: Parameters
  readonly appended: string | undefined
}

/** Whether a request target is a question, in either form. */
export function isQuestion(target: string): boolean {
  return target.startsWith(verifyPath) && /^[/?#]?$/.test(target.charAt(verifyPath.length))
}

/**
 * Reads `/gateway/verify?<parameters>`, or `/gateway/verify/<parameters>/<original path>`, in which the query is the
 * client's and is never read as parameters.
 * @throws Problem not_owner, also for a target that is no question
 */
export function questionOf(target: string): Question {
  if (!isQuestion(target)) throw refused('request_target')
  const rest = target.slice(verifyPath.length)
  if (!rest.startsWith('/'))
    return { parameters: parseParameters(rest.replace('?', '')), appended: undefined }
  const [, segment = '', appended] = /^\/([^/?]*)(\/.*)?/s.exec(rest) ?? []
  if (segment === '-') return { parameters: parseParameters(''), appended }
  // An empty one is a prefix without its parameters, which the client would choose.
  if (segment === '') throw refused('invalid_parameters')
  return { parameters: parseParameters(unescaped(segment)), appended }
}

/** A whole list that was percent-encoded once more, to be one segment. */
function unescaped(segment: string): string {
  if (segment.includes('=')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    throw refused('invalid_parameters')
  }
}
