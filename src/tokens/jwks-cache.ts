import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../problem.ts'
import { fetchJwks } from './fetch-jwks.ts'
import { importJwk, JwkRefused, type VerificationKey } from './jwk.ts'
import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import { TokenRefused } from './refusal.ts'

interface JwksOptions {
  readonly url: string
  /** `alg` values that the issuer is trusted with. */
  readonly algorithms: readonly string[]
  /** Told what an operator should know: a key that is not used, an endpoint that does not answer. */
  readonly warn: (message: string, fields: { jwks_url: string; kid?: string; err?: unknown }) => void
  /** Milliseconds that never go back. */
  readonly monotonic?: () => number
}

/** Milliseconds for which keys are used without asking again; from half of it on, asking goes on behind requests. */
const maxAge = 600_000

/** Milliseconds between two fetches. */
const cooldown = 1_000

/** Kids in a row that a fetch did not find, after which one no longer waits for the next fetch. */
const patience = 3

/**
 * The keys of an issuer, by the kid that its JWKS gives them. A kid that is not known asks for one fetch, shared by
 * all who wait for it and a second after the last at the earliest, so a fresh key is found without a failed request
 * and made-up ones cost the issuer next to nothing. While the endpoint is down, the known keys go on.
 */
export class JwksCache implements KeySource {
  readonly algorithms: readonly string[]
  readonly #options: JwksOptions
  readonly #now: () => number
  #keys: ReadonlyMap<string, VerificationKey> = new Map()
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #failing = false
  #notFound = 0
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null
  readonly #warned = new Set<string>()
  /** What a token was verified with: an issuer may put another key under the same kid. */
  readonly #verifiedWith = new WeakMap<UnverifiedToken, string>()

  constructor(options: JwksOptions) {
    this.#options = options
    this.algorithms = options.algorithms
    this.#now = options.monotonic ?? (() => performance.now())
  }

  /** Fetches the keys before the first token asks for them. Never rejects. */
  warmUp(): Promise<void> {
    return this.#refresh()
  }

  verifyingKey(token: UnverifiedToken): string | Promise<string> {
    const { alg, kid } = token.header
    if (typeof alg !== 'string' || !this.algorithms.includes(alg)) throw new TokenRefused('algorithm')
    if (typeof kid !== 'string' || kid === '' || kid.length > 256) throw new TokenRefused('key')
    return this.#usable(kid) ? this.#pem(token, kid, alg) : this.#sought(token, kid, alg)
  }

  stillVerifies(token: UnverifiedToken): boolean {
    const kid = token.header['kid'] as string
    return this.#usable(kid) && this.#keys.get(kid)?.pem === this.#verifiedWith.get(token)
  }

  /** Whether a key is known and need not be asked for first; sees to it that it stays so. */
  #usable(kid: string): boolean {
    if (this.#age > maxAge / 2 && !this.#coolingDown && this.#keys.has(kid)) void this.#refresh()
    return this.#trusted(kid)
  }

  #trusted(kid: string): boolean {
    return this.#keys.has(kid) && (this.#age <= maxAge || this.#failing)
  }

  get #age(): number {
    return this.#now() - this.#fetchedAt
  }

  get #coolingDown(): boolean {
    return this.#now() - this.#triedAt < cooldown
  }

  /** Whether a kid that is not known is not worth waiting for. */
  get #hopeless(): boolean {
    return this.#coolingDown && (this.#failing || this.#notFound >= patience)
  }

  #pem(token: UnverifiedToken, kid: string, alg: string): string {
    const key = this.#keys.get(kid)
    if (!key?.algorithms.includes(alg)) throw new TokenRefused('key')
    this.#verifiedWith.set(token, key.pem)
    return key.pem
  }

  async #sought(token: UnverifiedToken, kid: string, alg: string): Promise<string> {
    // A fetch that is yet to start will tell; one that has started may.
    const next = this.#next
    await (next ?? this.#running)
    if (!next && !this.#trusted(kid) && !this.#hopeless) await this.#refresh()
    if (this.#keys.size === 0) {
      throw new Problem('service_unavailable', { reason: 'no_issuer_keys', headers: { 'retry-after': '2' } })
    }
    this.#notFound = this.#keys.has(kid) ? 0 : this.#notFound + 1
    return this.#pem(token, kid, alg)
  }

  /** A fetch that is yet to start: one that has started may have missed the key that its caller asks for. */
  #refresh(): Promise<void> {
    this.#next ??= this.#running.then(async () => {
      const wait = this.#triedAt + cooldown - this.#now()
      if (wait > 0) await delay(wait)
      this.#next = null
      this.#triedAt = this.#now()
      this.#running = this.#fetch()
      await this.#running
    })
    return this.#next
  }

  async #fetch(): Promise<void> {
    const { url, warn } = this.#options
    try {
      this.#keys = this.#import(await fetchJwks(url))
      this.#fetchedAt = this.#now()
      this.#failing = false
    } catch (err) {
      if (!this.#failing) warn('the keys of a trusted issuer could not be fetched', { jwks_url: url, err })
      this.#failing = true
    }
  }

  /** @throws Error when no key of the set can be used */
  #import(set: readonly unknown[]): ReadonlyMap<string, VerificationKey> {
    const keys = new Map<string, VerificationKey>()
    const twice = new Set<string>()
    for (const jwk of set) {
      try {
        const key = importJwk(jwk, this.algorithms)
        if (keys.has(key.kid)) twice.add(key.kid)
        keys.set(key.kid, key)
      } catch (error) {
        if (!(error instanceof JwkRefused)) throw error
        this.#warnOnce((jwk as { kid?: unknown } | null)?.kid, error.message)
      }
    }
    // Which of them a token means cannot be told.
    for (const kid of twice) {
      keys.delete(kid)
      this.#warnOnce(kid, 'shares its kid with another one')
    }
    if (keys.size === 0) throw new Error('the JWKS has no key that can be used')
    return keys
  }

  #warnOnce(kid: unknown, why: string): void {
    const { url, warn } = this.#options
    const name = typeof kid === 'string' ? kid.slice(0, 256) : ''
    if (this.#warned.has(`${name} ${why}`) || this.#warned.size >= 100) return
    this.#warned.add(`${name} ${why}`)
    warn(`a key of a trusted issuer is not used: it ${why}`, { jwks_url: url, kid: name })
  }
}
