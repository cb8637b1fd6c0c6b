import type { Probe } from './result.ts'
import { type Answer, accepted } from './service.ts'

/** What is known of a request besides its answer. */
export interface Evidence {
  /** Whether the answer has something in it that only A has written, or calls A the owner of what B has made. */
  readonly shows: boolean
  /** What A read differently afterwards. */
  readonly change: string | undefined
  /** Whether a change would have been seen. */
  readonly watched: boolean
}

/** `text` follows the name of the probe. */
export interface Judgement {
  readonly verdict: Probe['verdict']
  readonly text: string
}

export type Judge = (answer: Answer, evidence: Evidence, method: string) => Judgement

/** The answers of a guard; 404 does not tell whether there is something. */
const isRefusal = ({ status }: Answer) => status === 401 || status === 403 || status === 404

/** Answers about the state of what is behind the guard. */
const aboutState = [409, 410, 423]

/** Of a gateway, and of a service that is down: not about this request. */
const passing = [0, 429, 502, 503, 504]

const answered = ({ status, failure }: Answer) =>
  status === 0 ? `was not answered (${failure})` : `was answered ${status}`

function byChange(answer: Answer, { change }: Evidence): Judgement | undefined {
  if (change === undefined) return undefined
  return { verdict: 'hole', text: `${answered(answer)} and changed the answer to A of ${change}` }
}

/** On A's path, every request of others must be refused. */
export const judgeForeignPath: Judge = (answer, evidence) => {
  const { status } = answer
  const text = answered(answer)
  const changed = byChange(answer, evidence)
  if (changed) return changed
  if (isRefusal(answer)) return { verdict: 'refused', text }
  if (accepted(answer)) return { verdict: 'hole', text }
  if (aboutState.includes(status))
    return { verdict: 'hole', text: `${text}, which depends on data behind the guard` }
  if (status >= 500 && !passing.includes(status))
    return { verdict: 'hole', text: `${text}, which is no refusal` }
  // Whatever checks the request before the guard, or in its place, shows nothing about the guard.
  return { verdict: 'unclear', text: `${text}: neither a refusal (401, 403, 404) nor a success` }
}

/** The same with more than the service need accept: to refuse that is as good, once the plain request was refused. */
export const judgeNamedOwner: Judge = (answer, evidence, method) => {
  const judgement = judgeForeignPath(answer, evidence, method)
  const refusesMore = judgement.verdict === 'unclear' && !passing.includes(answer.status)
  return refusesMore ? { ...judgement, verdict: 'harmless' } : judgement
}

/** On B's own path, any answer is allowed that neither contains nor changes A's data. */
export const judgeOwnPath: Judge = (answer, evidence) => {
  const { shows } = evidence
  const text = answered(answer)
  const changed = byChange(answer, evidence)
  if (changed) return changed
  if (accepted(answer) && shows) return { verdict: 'hole', text: `${text} with data of A` }
  return { verdict: answer.status === 0 || answer.status >= 500 ? 'unclear' : 'harmless', text }
}

/** On B's own path with A's id, the item does not exist: refused, except for empty results and upserts. */
export const judgeForeignItem: Judge = (answer, evidence, method) => {
  const text = answered(answer)
  const judgement = judgeForeignPath(answer, evidence, method)
  if (!accepted(answer) || evidence.change !== undefined) return judgement
  if (evidence.shows) return { verdict: 'hole', text: `${text} with data of A` }
  if (method === 'GET' && isEmpty(answer))
    return { verdict: 'harmless', text: `${text} with an empty result` }
  const replaces = method === 'PUT' || method === 'PATCH' || method === 'DELETE'
  if (replaces && evidence.watched)
    return { verdict: 'harmless', text: `${text} and left A's data unchanged` }
  return judgement
}

function isEmpty({ text, json }: Answer): boolean {
  if (json === undefined || json === null) return text.trim() === '' || json === null
  if (typeof json !== 'object') return json === ''
  const values = Array.isArray(json) ? json : Object.values(json)
  // A page without items: its counts and links are there.
  return values.every(
    (value) => typeof value !== 'object' || value === null || isEmpty({ json: value } as Answer),
  )
}
