import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '../problem.ts'
import { fetchJwks } from './fetch-jwks.ts'
import { type JwksKeys, keyName, keysOf } from './jwks-keys.ts'
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

/** Milliseconds for which older keys go on while the endpoint is down: an outage must not hide a withdrawal for good. */
const maxStale = 3_600_000

/** Milliseconds between two fetches. */
const cooldown = 1_000

const never = Number.NEGATIVE_INFINITY

/** Kids in a row that a fetch did not find, after which one no longer waits for the next fetch. */
const patience = 3

/**
 * The keys of an issuer, by their kid and algorithm. One that is not known asks for one fetch, shared by all who wait
 * for it and a second after the last at the earliest, so a fresh key is found without a failed request and made-up ones
 * cost the issuer next to nothing. While the endpoint is down, the known keys go on, but not for ever.
 */
export class JwksCache implements KeySource {
  readonly algorithms: readonly string[]
  readonly #options: JwksOptions
  readonly #now: () => number
  #keys: JwksKeys = new Map()
  #fetchedAt = never
  #triedAt = never
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
    const name = keyName(kid, alg)
    return this.#usable(name) ? this.#pem(token, name) : this.#sought(token, name)
  }

  stillVerifies(token: UnverifiedToken): boolean {
    const { alg, kid } = token.header
    const name = keyName(kid as string, alg as string)
    return this.#usable(name) && this.#keys.get(name) === this.#verifiedWith.get(token)
  }

  /** Whether a key is known and need not be asked for first; sees to it that it stays so. */
  #usable(name: string): boolean {
    if (this.#age > maxAge / 2 && !this.#coolingDown && this.#keys.has(name)) void this.#refresh()
    return this.#trusted(name)
  }

  #trusted(name: string): boolean {
    return this.#keys.has(name) && (this.#age <= maxAge || (this.#failing && this.#informed))
  }

  /** Whether the issuer has answered lately enough to know its keys. */
  get #informed(): boolean {
    return this.#age <= maxAge + maxStale
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

  #pem(token: UnverifiedToken, name: string): string {
    const pem = this.#keys.get(name)
    if (pem === undefined) throw new TokenRefused('key')
    this.#verifiedWith.set(token, pem)
    return pem
  }

  async #sought(token: UnverifiedToken, name: string): Promise<string> {
    // A queued fetch will see the key; one in flight may have missed it.
    const next = this.#next
    await (next ?? this.#running)
    if (!next && !this.#trusted(name) && !this.#hopeless) await this.#refresh()
    if (!this.#informed) {
      throw new Problem('service_unavailable', { reason: 'no_issuer_keys', headers: { 'retry-after': '2' } })
    }
    this.#notFound = this.#keys.has(name) ? 0 : this.#notFound + 1
    return this.#pem(token, name)
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
      const keys = keysOf(await fetchJwks(url), this.algorithms, (kid, why) => this.#warnOnce(kid, why))
      if (keys.size === 0 && this.#keys.size > 0) {
        warn('a trusted issuer has withdrawn all its keys: its tokens are refused', { jwks_url: url })
      }
      // An issuer that has not made its first key yet has withdrawn none.
      if (keys.size === 0 && this.#fetchedAt === never)
        throw new Error('the JWKS has no key that can be used')
      this.#keys = keys
      this.#fetchedAt = this.#now()
      this.#failing = false
    } catch (err) {
      if (!this.#failing) warn('the keys of a trusted issuer could not be fetched', { jwks_url: url, err })
      this.#failing = true
    }
  }

  #warnOnce(kid: unknown, why: string): void {
    const { url, warn } = this.#options
    const name = typeof kid === 'string' ? kid.slice(0, 256) : ''
    if (this.#warned.has(`${name} ${why}`) || this.#warned.size >= 100) return
    this.#warned.add(`${name} ${why}`)
    warn(`a key of a trusted issuer is not used: it ${why}`, { jwks_url: url, kid: name })
  }
}
