import type { UnverifiedToken } from '../tokens/jws.ts'
import type { KeySource } from '../tokens/key-source.ts'
import { TokenRefused } from '../tokens/refusal.ts'
import { SingleFlight } from '../tokens/single-flight.ts'
import { assertReadable, type HeldKey, holdKey } from './held-key.ts'
import { type KeyPolicy, type KeyStore, maintainKeys } from './key-rotation.ts'
import { endOf, type KeyAlgorithm, type PublicJwk, signingKeyAt } from './signing-keys.ts'

export interface KeyringOptions extends KeyStore, KeyPolicy {
  /** Called for the first of consecutive failures; the known keys remain in use. */
  readonly onError: (error: unknown) => void
  /** Milliseconds that never go back. */
  readonly monotonic?: () => number
  /** Waits out a cooldown; in milliseconds. */
  readonly sleep?: (ms: number) => Promise<unknown>
}

/** SHA-256 in base64url, the form of every kid made here: no other is worth a query. */
const thumbprint = /^[A-Za-z0-9_-]{43}$/

/** Between two reloads for unknown kids. */
const cooldownMs = 1_000

/** The key pairs of this process: a copy of the table, reloaded at intervals and for an unknown kid. */
export class Keyring implements KeySource {
  readonly algorithm: KeyAlgorithm
  readonly algorithms: readonly string[]
  readonly #options: KeyringOptions
  #keys = new Map<string, HeldKey & { readonly endsAt: number }>()
  readonly #flight: SingleFlight
  #failing = false
  #closed = false

  constructor(options: KeyringOptions) {
    this.#options = options
    this.algorithm = options.algorithm
    this.algorithms = [options.algorithm]
    const { monotonic, sleep } = options
    this.#flight = new SingleFlight({ run: () => this.#tryLoad(), cooldownMs, monotonic, sleep })
  }

  /**
   * Loads the keys for the first time.
   * @throws SigningKeyError when neither secret decrypts a key that signs now or later
   */
  async open(): Promise<void> {
    await this.#load()
  }

  /** Never rejects. */
  reload(): Promise<void> {
    return this.#flight.now()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#flight.running
  }

  /** Since when the key that signs does, in seconds since the epoch; undefined before {@link open}. */
  get signsSince(): number | undefined {
    return signingKeyAt([...this.#keys.values()], this.#options.clock())?.signsFrom
  }

  /** The key that signs now. */
  signingKey(): { readonly key: string; readonly kid: string } {
    const readable = [...this.#keys.values()].filter((key) => key.privateKey !== undefined)
    // Clock skew: to a clock behind the one that made the first key, no key signs yet.
    const held = signingKeyAt(readable, this.#options.clock()) ?? readable[0]
    if (!held?.privateKey) throw new Error('there is no key to sign with')
    return { key: held.privateKey, kid: held.kid }
  }

  /**
   * The public key to verify a token with. Only an unknown kid of our form waits for the database.
   * @throws TokenRefused algorithm, key
   */
  verifyingKey({ header: { alg, kid } }: UnverifiedToken): string | Promise<string> {
    if (alg !== this.algorithm) throw new TokenRefused('algorithm')
    if (typeof kid !== 'string' || !thumbprint.test(kid)) throw new TokenRefused('key')
    return this.#keys.has(kid) ? this.#published(kid) : this.#sought(kid)
  }

  stillVerifies({ header: { kid } }: UnverifiedToken): boolean {
    return this.#publishes(kid as string)
  }

  /** For the JWKS. */
  publicJwks(): PublicJwk[] {
    return [...this.#keys.values()].filter(({ kid }) => this.#publishes(kid)).map((key) => key.publicJwk)
  }

  /** Whether a key is published: from when it is made until the last token that it signed has expired. */
  #publishes(kid: string): boolean {
    const held = this.#keys.get(kid)
    return held !== undefined && held.endsAt > this.#options.clock()
  }

  #published(kid: string): string {
    const held = this.#keys.get(kid)
    if (!held || !this.#publishes(kid)) throw new TokenRefused('key')
    return held.publicKey
  }

  async #sought(kid: string): Promise<string> {
    await this.#flight.soon()
    return this.#published(kid)
  }

  async #tryLoad(): Promise<void> {
    if (this.#closed) return
    try {
      await this.#load()
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#options.onError(error)
      this.#failing = true
    }
  }

  async #load(): Promise<void> {
    const { db, lifetime, clock } = this.#options
    const stored = await maintainKeys(this.#options, this.#options)
    const keys = new Map<string, HeldKey & { readonly endsAt: number }>()
    for (const [index, key] of stored.entries()) {
      const held = this.#keys.get(key.kid) ?? (await holdKey(db, this.#options, key))
      keys.set(key.kid, { ...held, signsFrom: key.signsFrom, endsAt: endOf(stored, index, lifetime) })
    }
    this.#keys = keys
    assertReadable([...keys.values()], clock())
  }
}
