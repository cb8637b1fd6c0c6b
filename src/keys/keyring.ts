import { setTimeout as delay } from 'node:timers/promises'
import type { UnverifiedToken } from '../tokens/jws.ts'
import type { KeySource } from '../tokens/key-source.ts'
import { TokenRefused } from '../tokens/refusal.ts'
import { assertReadable, type HeldKey, holdKey } from './held-key.ts'
import { type KeyPolicy, type KeyStore, maintainKeys } from './key-rotation.ts'
import { endOf, type KeyAlgorithm, type PublicJwk, signingKeyAt } from './signing-keys.ts'

export interface KeyringOptions extends KeyStore, KeyPolicy {
  /** Told of the first error of a row of them; the keys that are known go on. */
  readonly onError: (error: unknown) => void
}

/** SHA-256 in base64url: what every kid of ours looks like, and the only kind worth a query. */
const thumbprint = /^[A-Za-z0-9_-]{43}$/

/** Milliseconds between two reloads that unknown kids ask for. */
const cooldown = 1_000

/** The key pairs of this process: a copy of the table that is read anew now and then. */
export class Keyring implements KeySource {
  readonly algorithm: KeyAlgorithm
  readonly algorithms: readonly string[]
  readonly #options: KeyringOptions
  #keys = new Map<string, HeldKey & { readonly endsAt: number }>()
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null
  #lastReload = Number.NEGATIVE_INFINITY
  #failing = false
  #closed = false

  constructor(options: KeyringOptions) {
    this.#options = options
    this.algorithm = options.algorithm
    this.algorithms = [options.algorithm]
  }

  /**
   * Reads the keys for the first time.
   * @throws SigningKeyError when neither secret opens a key that signs or will
   */
  async open(): Promise<void> {
    await this.#load()
  }

  /** Reads the keys anew, one reading at a time. Never rejects. */
  reload(): Promise<void> {
    this.#running = this.#running.then(() => this.#tryLoad())
    return this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#running
  }

  /** What to sign with now. */
  signingKey(): { readonly key: string; readonly kid: string } {
    const readable = [...this.#keys.values()].filter((key) => key.privateKey !== undefined)
    // A clock that is behind the one that made the first key finds none whose time has come.
    const held = signingKeyAt(readable, this.#options.clock()) ?? readable[0]
    if (!held?.privateKey) throw new Error('there is no key to sign with')
    return { key: held.privateKey, kid: held.kid }
  }

  /**
   * The public key to verify a token with. Only a kid that could be ours and is not known waits for the database.
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

  /** The keys that verify or will, for the JWKS. */
  publicJwks(): PublicJwk[] {
    return [...this.#keys.values()].filter(({ kid }) => this.#publishes(kid)).map((key) => key.publicJwk)
  }

  /** Whether tokens of a key are good: from when it is made until what it signed has expired. */
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
    await this.#reloadSoon()
    return this.#published(kid)
  }

  /**
   * A reload that is yet to start, shared by all who ask before it does, and a second after the last at the
   * earliest. One that has started may have missed the key that this caller asks for.
   */
  #reloadSoon(): Promise<void> {
    this.#next ??= this.#running.then(async () => {
      const wait = this.#lastReload + cooldown - performance.now()
      if (wait > 0) await delay(wait)
      this.#next = null
      this.#lastReload = performance.now()
      await this.reload()
    })
    return this.#next
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
