import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import type { Principal } from '../tokens/owner.ts'
import { TokenRefused } from '../tokens/refusal.ts'
import { IssuerClocks } from './issuer-clocks.ts'

interface SessionRevocation {
  readonly session: string
  readonly endsAt: number
}

interface UserRevocation {
  readonly user: string
  readonly at: number
  readonly endsAt: number
}

/** A session whose tokens are revoked, or a user whose tokens without a session are, if issued until `at`. */
export type Revocation = SessionRevocation | UserRevocation

/** How long this process may go without news before it refuses to say that a token is good, in milliseconds. */
export const patience = 10_000

/** The clock gives whole seconds, and a time of issue may have a fraction. */
const restOfSecond = 0.999

/**
 * The revocations that still matter, in memory, so that no request pays a query. An entry leaves when the last
 * token that it could refuse has expired. Times are in seconds since the epoch.
 */
export class Revocations {
  readonly #sessions = new Map<string, number>()
  readonly #users = new Map<string, Omit<UserRevocation, 'user'>>()
  readonly #issuerClocks = new IssuerClocks()
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
      if ('session' in revocation) this.#revokeSession(revocation)
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
   * What a revocation of all tokens that an issuer has issued until now has to cover: those of this second, those of
   * an issuer whose clock is ahead, and in any case the token that asks for it.
   */
  issuedByNow(issuer: string, asking?: number): number {
    const now = this.#clock()
    // The database keeps milliseconds.
    const asked = Math.ceil((asking ?? 0) * 1000) / 1000
    return Math.max(now + this.#issuerClocks.ahead(issuer, now) + restOfSecond, asked)
  }

  /**
   * Where the clock has been set back to when something forgotten could refuse a token, this process does not know
   * until everything has been read again.
   * @returns whether that is so
   */
  checkClock(): boolean {
    if (this.#clock() >= this.#forgottenUntil) return false
    this.#heardAt = Number.NEGATIVE_INFINITY
    this.#forgottenUntil = Number.NEGATIVE_INFINITY
    return true
  }

  /** Forgets what can refuse no token any more. It looks at every entry. */
  sweep(): void {
    const now = this.#clock()
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
  assertLive({ userId, sid, issuer, issuedAt }: Principal): void {
    if (!this.current) {
      throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
    }
    if (sid !== undefined) {
      if (this.#sessions.has(sid)) throw new TokenRefused('revoked')
      return
    }
    if (issuedAt !== undefined) this.#issuerClocks.note(issuer, issuedAt, this.#clock())
    const user = this.#users.get(userId)
    // A token that does not say when it was issued could be from before.
    if (user && (issuedAt === undefined || issuedAt <= user.at)) throw new TokenRefused('revoked')
  }

  /** Rows come more than once and in any order: the latest times count. */
  #revokeSession({ session, endsAt }: SessionRevocation): void {
    const known = this.#sessions.get(session)
    if (known === undefined || known < endsAt) this.#sessions.set(session, endsAt)
  }

  #revokeUser({ user, at, endsAt }: UserRevocation): void {
    const known = this.#users.get(user)
    if (known && known.at >= at && known.endsAt >= endsAt) return
    this.#users.set(user, { at: Math.max(at, known?.at ?? at), endsAt: Math.max(endsAt, known?.endsAt ?? 0) })
  }
}
