import { Problem } from '../problem.ts'
import { type JwksKeys, keyName, keysOf } from './jwks-keys.ts'
import type { JwksLocation } from './jwks-location.ts'
import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import { TokenRefused } from './refusal.ts'
import { SingleFlight } from './single-flight.ts'

interface JwksOptions {
  readonly location: JwksLocation
  /** `alg` values that the issuer is trusted with. */
  readonly algorithms: readonly string[]
  /** Logs what concerns the operator: a key that is not used, an endpoint that is down. */
  readonly warn: (message: string, fields: { jwks_url: string; kid?: string; err?: unknown }) => void
  /** Milliseconds that never go back. */
  readonly monotonic?: () => number
  /** Waits out a cooldown; in milliseconds. */
  readonly sleep?: (ms: number) => Promise<unknown>
  /** Ends a fetch after so many milliseconds. */
  readonly timeout?: (ms: number) => AbortSignal
}

/** For a whole fetch, with its discovery. */
const timeoutMs = 2_000

/** For which fetched keys are fresh; from half of it on, they are refreshed in the background. */
const maxAgeMs = 600_000

/** For which stale keys are used while the endpoint is down (stale-if-error); bounded, since a key may be withdrawn. */
const maxStaleMs = 3_600_000

/** Between two fetches. */
const cooldownMs = 1_000

const never = Number.NEGATIVE_INFINITY

/** Requests that wait for a fetch with an unknown kid. Past it they are refused at once: made-up kids cost nothing. */
const maxWaiting = 1_000

/**
 * The keys of an issuer, by kid and algorithm. An unknown kid waits for a fetch, which all callers share and a cooldown
 * bounds: a new key is found without a failed request even among made-up kids, which cannot flood the issuer. While the
 * endpoint is down, the known keys remain in use for an hour.
 */
export class JwksCache implements KeySource {
  readonly algorithms: readonly string[]
  readonly #options: JwksOptions
  readonly #now: () => number
  #keys: JwksKeys = new Map()
  #fetchedAt = never
  #failing = false
  #waiting = 0
  readonly #flight: SingleFlight
  readonly #warned = new Set<string>()
  /** The key that verified a token: an issuer may replace the key under a kid. */
  readonly #verifiedWith = new WeakMap<UnverifiedToken, string>()

  constructor(options: JwksOptions) {
    this.#options = options
    this.algorithms = options.algorithms
    this.#now = options.monotonic ?? (() => performance.now())
    const { sleep } = options
    this.#flight = new SingleFlight({ run: () => this.#fetch(), cooldownMs, monotonic: this.#now, sleep })
  }

  /** Fetches the keys ahead of the first token. Never rejects. */
  warmUp(): Promise<void> {
    return this.#flight.soon()
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

  /** Whether a key can be used without a fetch; starts the background refresh. */
  #usable(name: string): boolean {
    if (this.#age > maxAgeMs / 2 && !this.#flight.coolingDown && this.#keys.has(name))
      void this.#flight.soon()
    return this.#trusted(name)
  }

  #trusted(name: string): boolean {
    return this.#keys.has(name) && (this.#age <= maxAgeMs || (this.#failing && this.#informed))
  }

  /** Whether the last good fetch is recent enough to rely on. */
  get #informed(): boolean {
    return this.#age <= maxAgeMs + maxStaleMs
  }

  get #age(): number {
    return this.#now() - this.#fetchedAt
  }

  #pem(token: UnverifiedToken, name: string): string {
    const pem = this.#keys.get(name)
    if (pem === undefined) throw new TokenRefused('key')
    this.#verifiedWith.set(token, pem)
    return pem
  }

  async #sought(token: UnverifiedToken, name: string): Promise<string> {
    // A known name only has to be confirmed, and is as good as its key.
    const isUnknown = !this.#keys.has(name)
    if (!isUnknown || this.#waiting < maxWaiting) {
      this.#waiting += isUnknown ? 1 : 0
      await this.#newest(name)
      this.#waiting -= isUnknown ? 1 : 0
    }
    if (!this.#informed) {
      throw new Problem('service_unavailable', { reason: 'no_issuer_keys', headers: { 'retry-after': '2' } })
    }
    return this.#pem(token, name)
  }

  /** Waits for the key, or for a fetch that would have found it. Never rejects. */
  async #newest(name: string): Promise<void> {
    // A queued fetch will see the key; one in flight may have missed it.
    const { queued, running } = this.#flight
    await (queued ?? running)
    if (queued || this.#trusted(name)) return
    // Where nothing is known, the answer is 503 in any case.
    if (this.#flight.coolingDown && this.#failing && !this.#informed) return
    await this.#flight.soon()
  }

  async #fetch(): Promise<void> {
    const { location, warn, timeout = AbortSignal.timeout } = this.#options
    const { url } = location
    try {
      const found = await location.fetch(this.#now(), timeout(timeoutMs))
      const keys = keysOf(found, this.algorithms, (kid, why) => this.#warnOnce(kid, why))
      if (keys.size === 0 && this.#keys.size > 0) {
        warn('a trusted issuer has withdrawn all its keys: its tokens are refused', { jwks_url: url })
      }
      // Before the first key, an empty set is a failure and no withdrawal.
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
    const { warn, location } = this.#options
    const { url } = location
    const name = typeof kid === 'string' ? kid.slice(0, 256) : ''
    if (this.#warned.has(`${name} ${why}`) || this.#warned.size >= 100) return
    this.#warned.add(`${name} ${why}`)
    warn(`a key of a trusted issuer is not used: it ${why}`, { jwks_url: url, kid: name })
  }
}
