import type { Clock } from '../clock.ts'
import type { SecondFactorRule } from '../tokens/requirements.ts'
import type { CommitDeps } from './commit.ts'
import type { RefreshKeys } from './refresh-token.ts'

/** Days until a session ends: without use, and in any case. */
export interface Lifetimes {
  readonly idleDays: number
  readonly absoluteDays: number
}

/** The lifetimes of sessions and their tokens, and the keys of the refresh tokens. */
export interface SessionPolicy extends Lifetimes {
  readonly accessTokenSeconds: number
  /** Longest life of a token that names no session, from its issue. */
  readonly foreignTokenSeconds: number
  /** Whether tokens signed with a shared secret are accepted; such a token can name any user. */
  readonly sharedSecret: boolean
  /** The clock that tokens are verified by. */
  readonly clock: Clock
  readonly refreshKeys: RefreshKeys
  /** Whose login takes a second factor. */
  readonly secondFactor: SecondFactorRule
}

/** What sessions need of their surroundings; a Fastify instance with the plugins on it is one. */
export interface SessionDeps extends CommitDeps {
  readonly sessionPolicy: SessionPolicy
}
