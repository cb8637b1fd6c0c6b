import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import type { Principal } from '../tokens/owner.ts'
import { TokenRefused } from '../tokens/refusal.ts'

/** A session whose tokens are dead, or a user whose tokens without a session are, if issued until `at`. */
export type Revocation =
  | { readonly session: string; readonly endsAt: number }
  | { readonly user: string; readonly at: number; readonly endsAt: number }

/** How long this process may go without news before it refuses to say that a token is good, in milliseconds. */
export const patience = 10_000

interface UserRevocation {
  readonly at: number
  readonly endsAt: number
}

/**
 * The revocations that still matter, in memory, so that no request pays a query. An entry leaves when the last
 * token that it could refuse has expired. Times are in seconds since the epoch.
 */
export class Revocations {
  readonly #sessions = new Map<string, number>()
  readonly #users = new Map<string, UserRevocation>()
  readonly #clock: Clock
  readonly #monotonic: () => number
  #heardAt = Number.NEGATIVE_INFINITY
  /** When the last of those that are forgotten has ended. */
  #forgottenUntil = Number.NEGATIVE_INFINITY

  /** @param monotonic milliseconds that never go back */
  constructor(clock: Clock, monotonic: () => number = () => performance.now()) {
    this.#clock = clock
    this.#monotonic = monotonic
  }

  get size(): number {
    return this.#sessions.size + this.#users.size
  }

  /** True while what is in memory is known to be what the database has, give or take {@link patience}. */
  get current(): boolean {
    return this.#monotonic() - this.#heardAt <= patience
  }

  apply(revocations: Iterable<Revocation>): void {
    for (const revocation of revocations) {
      if ('session' in revocation) this.#sessions.set(revocation.session, revocation.endsAt)
      else this.#revokeUser(revocation)
    }
  }

  /** To be handed to {@link heard}, taken before the database is asked. */
  get now(): number {
    return this.#monotonic()
  }

  /** Says that everything revoked until then has been applied. */
  heard(at: number): void {
    this.#heardAt = at
  }

  /**
   * Forgets what can refuse no token any more. Where the clock has been set back to when something forgotten could,
   * this process does not know until everything has been read again.
   */
  sweep(): void {
    const now = this.#clock()
    if (now < this.#forgottenUntil) {
      this.#heardAt = Number.NEGATIVE_INFINITY
      this.#forgottenUntil = Number.NEGATIVE_INFINITY
    }
    for (const [session, endsAt] of this.#sessions) {
      if (endsAt <= now && this.#sessions.delete(session)) this.#noteForgotten(endsAt)
    }
    for (const [user, { endsAt }] of this.#users) {
      if (endsAt <= now && this.#users.delete(user)) this.#noteForgotten(endsAt)
    }
  }

  #noteForgotten(endsAt: number): void {
    this.#forgottenUntil = Math.max(this.#forgottenUntil, endsAt)
  }

  /**
   * Passes a verified token that nobody has revoked.
   * @throws TokenRefused revoked
   * @throws Problem service_unavailable when it cannot be known: fails closed
   */
  assertLive({ userId, sid, issuedAt }: Principal): void {
    if (!this.current) {
      throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
    }
    if (sid !== undefined) {
      if (this.#sessions.has(sid)) throw new TokenRefused('revoked')
      return
    }
    const user = this.#users.get(userId)
    // A token that does not say when it was issued could be from before.
    if (user && (issuedAt === undefined || issuedAt <= user.at)) throw new TokenRefused('revoked')
  }

  #revokeUser({ user, at, endsAt }: { user: string; at: number; endsAt: number }): void {
    const known = this.#users.get(user)
    if (!known || known.at < at) this.#users.set(user, { at, endsAt: Math.max(endsAt, known?.endsAt ?? 0) })
  }
}
