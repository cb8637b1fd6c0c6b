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

interface KeyRevocation {
  readonly key: string
  readonly endsAt: number
}

/** Revokes every token of a user, of sessions and API keys too, whenever it was issued, until `until`. */
interface Ban {
  readonly banned: string
  /** In the past: the ban was lifted. */
  readonly until: number
  /** Of a user's bans, the one with the highest revision counts. */
  readonly revision: number
  readonly endsAt: number
}

/** Revokes a session's tokens, a user's tokens without a session that were issued until `at`, or an API key; or bans. */
export type Revocation = SessionRevocation | UserRevocation | KeyRevocation | Ban

/** Age of the last successful read beyond which tokens are refused instead of accepted unchecked. */
export const staleAfterMs = 10_000

/**
 * How long an ended key is remembered: longer than any request or look-up in flight. Its row is deleted, and caches drop
 * it at once; until it would have expired, at most a year, users could fill the memory with such entries.
 */
const keyRememberedMs = 300_000

/** The clock has whole seconds; an issue time may have a fraction. */
const restOfSecond = 0.999

/**
 * The revocations in memory, so that no request costs a query. An entry is dropped when the last token that it revokes
 * has expired. Times are in seconds since the epoch.
 */
export class Revocations {
  readonly #sessions = new Map<string, number>()
  readonly #users = new Map<string, Omit<UserRevocation, 'user'>>()
  /** Until when, by the monotonic clock. */
  readonly #keys = new Map<string, number>()
  readonly #bans = new Map<string, Omit<Ban, 'banned'>>()
  readonly #keyListeners: ((keyId: string) => void)[] = []
  readonly #issuerClocks = new IssuerClocks()
  readonly #clock: Clock
  readonly #monotonic: () => number
  #heardAt = Number.NEGATIVE_INFINITY
  #observer: (revocation: Revocation) => void = () => {}
  /** Latest end among the dropped entries. */
  #forgottenUntil = Number.NEGATIVE_INFINITY

  /** @param monotonic a monotonic clock in milliseconds */
  constructor(clock: Clock, monotonic: () => number = () => performance.now()) {
    this.#clock = clock
    this.#monotonic = monotonic
  }

  get size(): number {
    return this.#sessions.size + this.#users.size + this.#keys.size + this.#bans.size
  }

  /** Since memory last matched the database; infinite before the first read. */
  get ageSeconds(): number {
    return (this.#monotonic() - this.#heardAt) / 1000
  }

  /** Whether memory matched the database within the last {@link staleAfterMs}. */
  get current(): boolean {
    return this.#monotonic() - this.#heardAt <= staleAfterMs
  }

  /** Calls the observer with each revocation that changes what is known. */
  observe(observer: (revocation: Revocation) => void): void {
    this.#observer = observer
  }

  apply(revocations: Iterable<Revocation>): void {
    for (const revocation of revocations) {
      if ('session' in revocation) this.#revokeSession(revocation)
      else if ('key' in revocation) this.#revokeKey(revocation)
      else if ('banned' in revocation) this.#ban(revocation)
      else this.#revokeUser(revocation)
    }
  }

  /** Calls `listener` with the id of each key that ends: for caches of verified keys. */
  onKeyEnded(listener: (keyId: string) => void): void {
    this.#keyListeners.push(listener)
  }

  /** For {@link heard}; read it before the query. */
  get now(): number {
    return this.#monotonic()
  }

  /** Everything revoked until then has been applied. */
  heard(at: number): void {
    this.#heardAt = at
  }

  /**
   * The latest issue time that a revocation of all tokens until now must cover: the rest of this second, an issuer's
   * clock that is ahead, and in any case the requesting token.
   */
  issuedByNow(issuer: string, asking?: number): number {
    const now = this.#clock()
    // The database keeps milliseconds.
    const asked = Math.ceil((asking ?? 0) * 1000) / 1000
    return Math.max(now + this.#issuerClocks.ahead(issuer, now) + restOfSecond, asked)
  }

  /**
   * Detects a clock that was set back before the end of a dropped entry: that entry would matter again.
   * @returns true when everything must be read again; until then tokens are refused
   */
  checkClock(): boolean {
    if (this.#clock() >= this.#forgottenUntil) return false
    this.#heardAt = Number.NEGATIVE_INFINITY
    this.#forgottenUntil = Number.NEGATIVE_INFINITY
    return true
  }

  /** Drops the entries whose tokens have all expired. */
  sweep(): void {
    const now = this.#clock()
    for (const [session, endsAt] of this.#sessions) {
      if (endsAt <= now && this.#sessions.delete(session)) this.#noteForgotten(endsAt)
    }
    for (const [user, { endsAt }] of this.#users) {
      if (endsAt <= now && this.#users.delete(user)) this.#noteForgotten(endsAt)
    }
    for (const [user, { endsAt }] of this.#bans) {
      if (endsAt <= now && this.#bans.delete(user)) this.#noteForgotten(endsAt)
    }
    for (const [key, until] of this.#keys) if (until <= this.#monotonic()) this.#keys.delete(key)
  }

  #noteForgotten(endsAt: number): void {
    this.#forgottenUntil = Math.max(this.#forgottenUntil, endsAt)
  }

  /**
   * @throws TokenRefused revoked
   * @throws Problem service_unavailable when the revocations are unknown: fails closed
   */
  assertLive({ userId, sid, issuer, issuedAt, keyId }: Principal): void {
    if (!this.current) {
      throw new Problem('service_unavailable', { reason: 'revocations_unknown' })
    }
    if (this.isBanned(userId)) throw new TokenRefused('revoked')
    if (keyId !== undefined) {
      if (this.#keys.has(keyId)) throw new TokenRefused('revoked')
      return
    }
    if (sid !== undefined) {
      if (this.#sessions.has(sid)) throw new TokenRefused('revoked')
      return
    }
    if (issuedAt !== undefined) this.#issuerClocks.note(issuer, issuedAt, this.#clock())
    const user = this.#users.get(userId)
    // A token without an issue time may be older.
    if (user && (issuedAt === undefined || issuedAt <= user.at)) throw new TokenRefused('revoked')
  }

  /** Whether a user is banned now, as far as this process knows. */
  isBanned(userId: string): boolean {
    const ban = this.#bans.get(userId)
    return ban !== undefined && ban.until > this.#clock()
  }

  /** For another database, whose revisions may be lower: each ban counts until the next one of its user arrives. */
  forgetRevisions(): void {
    for (const [user, ban] of this.#bans) this.#bans.set(user, { ...ban, revision: 0 })
  }

  /** Rows arrive more than once and in any order: the latest times count. */
  #revokeSession({ session, endsAt }: SessionRevocation): void {
    const known = this.#sessions.get(session)
    if (known !== undefined && known >= endsAt) return
    this.#sessions.set(session, endsAt)
    this.#observer({ session, endsAt })
  }

  #revokeKey({ key, endsAt }: KeyRevocation): void {
    if (!this.#keys.has(key)) this.#observer({ key, endsAt })
    this.#keys.set(key, this.#monotonic() + keyRememberedMs)
    for (const listener of this.#keyListeners) listener(key)
  }

  #ban({ banned, ...ban }: Ban): void {
    const known = this.#bans.get(banned)
    if (known && known.revision >= ban.revision) return
    this.#bans.set(banned, ban)
    this.#observer({ banned, ...ban })
  }

  #revokeUser({ user, at, endsAt }: UserRevocation): void {
    const known = this.#users.get(user)
    if (known && known.at >= at && known.endsAt >= endsAt) return
    const latest = { at: Math.max(at, known?.at ?? at), endsAt: Math.max(endsAt, known?.endsAt ?? 0) }
    this.#users.set(user, latest)
    this.#observer({ user, ...latest })
  }
}
