import type { Method } from './operations.ts'
import type { Forgery } from './tokens.ts'

/** What was tried, in the words of the reports. */
export type Kind =
  | 'no_token'
  | Forgery['kind']
  /** B's token on A's path. */
  | 'other_user'
  /** The same, and the request calls B the owner elsewhere. */
  | 'other_user_named'
  /** B's own path with the id of A's item. */
  | 'foreign_item'
  /** The same under a parent of B's own. */
  | 'foreign_item_own_parent'
  /** B's own path, and the request calls A the owner elsewhere. */
  | 'owner_named'
  /** B's own path, as B may use it: nothing of A's may be in the answer. */
  | 'own_path'

export type NamedIn = 'header' | 'query' | 'body'

export interface Probe {
  readonly kind: Kind
  readonly method: Method
  readonly namedIn?: NamedIn
  /** HTTP status; 0 where nothing was answered. */
  readonly status: number
  readonly verdict: 'refused' | 'harmless' | 'hole' | 'unclear'
  /** What was sent and answered, in words. */
  readonly note: string
}

export type Verdict = 'sound' | 'hole' | 'not_proven' | 'skipped'

export interface OperationResult {
  readonly operation: string
  readonly method: Method
  readonly path: string
  readonly operationId: string | undefined
  readonly verdict: Verdict
  /** Why it is not sound. */
  readonly reasons: readonly string[]
  /** Statuses that the two users got on their own paths; null where nothing could be sent. */
  readonly own: { readonly A: number | null; readonly B: number | null }
  readonly probes: readonly Probe[]
}

export interface Report {
  readonly title: string
  readonly baseUrl: string
  readonly verdict: 'sound' | 'hole' | 'nothing_proven'
  /** The verdict in one sentence. */
  readonly summary: string
  readonly operations: readonly OperationResult[]
  /** What the run has made and could not delete. */
  readonly leftBehind: readonly string[]
}

const whats: Readonly<Record<Kind, string>> = {
  no_token: "no token on A's path",
  forged_signature: "A's token with an altered signature on A's path",
  forged_alg_none: 'A\'s token with "alg":"none" on A\'s path',
  forged: "A's token, altered, on A's path",
  other_user: "B's token on A's path",
  other_user_named: "B's token on A's path, with B as the owner",
  foreign_item: "the id of A's item on B's path",
  foreign_item_own_parent: "the id of A's item under B's own parent",
  owner_named: "B's token on B's path, with A as the owner",
  own_path: "B's token on B's path",
}

/** A probe in words. */
export function inWords({ kind, namedIn, method }: Pick<Probe, 'kind' | 'namedIn' | 'method'>): string {
  const where = namedIn === undefined ? '' : ` in the ${namedIn}`
  return `${whats[kind]}${where}${method === 'HEAD' ? ' by HEAD' : ''}`
}
