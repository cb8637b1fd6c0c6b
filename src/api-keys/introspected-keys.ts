import { Problem } from '../problem.ts'
import { basicAuthorization } from '../tokens/client-credentials.ts'
import { readBounded } from '../tokens/fetch-json.ts'
import type { Principal } from '../tokens/owner.ts'
import { TokenRefused } from '../tokens/refusal.ts'
import { isUserId } from '../tokens/user-id.ts'

interface Options {
  /** URL of the Latchkey. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  readonly log: { warn(fields: object, message: string): void }
}

/** For a whole answer. */
const timeoutMs = 5_000

const maxBytes = 16 * 1024

/** Look-ups in flight: guesses at this service must not become a flood at the Latchkey. */
const maxPending = 50

/** After the Latchkey refused the scope. */
const pauseMs = 10_000

/** Looks API keys up at a Latchkey (RFC 7662), as a service client with the scope `introspect`. */
export class IntrospectedKeys {
  readonly #options: Options
  readonly #url: string
  readonly #authorization: string
  readonly #stopped = new AbortController()
  #pending = 0
  #refusedUntil = Number.NEGATIVE_INFINITY
  #warned = ''

  constructor(options: Options) {
    this.#options = options
    this.#url = `${options.url.replace(/\/+$/, '')}/oauth/introspect`
    this.#authorization = basicAuthorization(options.clientId, options.clientSecret)
  }

  /**
   * @returns the principal of an active key; undefined for any other
   * @throws TokenRefused key_unsupported without the scope
   * @throws Problem service_unavailable when too many are in flight
   * @throws Error when the Latchkey does not answer
   */
  async find(text: string): Promise<Principal | undefined> {
    if (performance.now() < this.#refusedUntil) throw new TokenRefused('key_unsupported')
    if (this.#pending >= maxPending) throw new Problem('service_unavailable', { reason: 'key_lookups' })
    this.#pending++
    try {
      const found = await this.#ask(text)
      this.#warned = ''
      return found
    } catch (error) {
      if (error instanceof TokenRefused) this.#warn({}, 'API keys are refused: the client lacks introspect')
      else this.#warn({ err: error }, 'an API key could not be looked up at the Latchkey')
      throw error
    } finally {
      this.#pending--
    }
  }

  /** Aborts what is in flight. */
  stop(): void {
    this.#stopped.abort()
  }

  async #ask(text: string): Promise<Principal | undefined> {
    const response = await fetch(this.#url, {
      method: 'POST',
      // The key goes nowhere else.
      redirect: 'error',
      headers: {
        authorization: this.#authorization,
        accept: 'application/json',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: new URLSearchParams({ token: text }).toString(),
      signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(timeoutMs)]),
    })
    if (!response.ok) {
      await response.body?.cancel()
      if (response.status !== 403) throw new Error(`the answer is ${response.status}`)
      this.#refusedUntil = performance.now() + pauseMs
      throw new TokenRefused('key_unsupported')
    }
    return principalOf(await readBounded(response, maxBytes))
  }

  /** Once until a look-up succeeds, or fails in another way. */
  #warn(fields: object, message: string): void {
    if (this.#warned === message) return
    this.#warned = message
    this.#options.log.warn(fields, message)
  }
}

/** @throws Error when it is not the introspection of a key */
function principalOf(body: Buffer): Principal | undefined {
  const { active, sub, jti, scope, iat, exp } = (jsonOf(body) ?? {}) as Readonly<Record<string, unknown>>
  if (active === false) return undefined
  const isKey = typeof jti === 'string' && jti.startsWith('key_') && typeof scope === 'string'
  const isOfUser = typeof sub === 'string' && isUserId(sub)
  if (active !== true || !isKey || !isOfUser || typeof exp !== 'number')
    throw new Error('the answer is not the introspection of a key')
  return {
    // Only accounts of the Latchkey have keys.
    sub,
    userId: sub,
    issuer: undefined,
    sid: undefined,
    issuedAt: typeof iat === 'number' ? iat : undefined,
    expiresAt: exp,
    scopes: scope.split(' ').filter((name) => name !== ''),
    keyId: jti,
  }
}

/** Without the answer in the message of an error. */
function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    throw new Error('the answer is not JSON')
  }
}
