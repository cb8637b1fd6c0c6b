import { createHmac, timingSafeEqual } from 'node:crypto'
import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import { TokenRefused } from './refusal.ts'

/** The HS256 secrets: the current one signs, both verify, so that SECRET_KEY can change without a logout. */
export class SharedKeys implements KeySource {
  readonly algorithms = ['HS256']
  readonly #current: string
  readonly #previous: string | undefined

  constructor(current: string, previous: string | undefined) {
    this.#current = current
    this.#previous = previous
  }

  verifyingKey(token: UnverifiedToken): string {
    if (token.header['alg'] !== 'HS256') throw new TokenRefused('algorithm')
    return this.#previous !== undefined && !signs(this.#current, token) ? this.#previous : this.#current
  }

  refutes(token: UnverifiedToken): boolean {
    return !signs(this.#current, token) && !(this.#previous !== undefined && signs(this.#previous, token))
  }

  /** Secrets change only with a restart. */
  stillVerifies(): boolean {
    return true
  }
}

function signs(secret: string, { compact }: UnverifiedToken): boolean {
  const end = compact.lastIndexOf('.')
  const mac = createHmac('sha256', secret).update(compact.slice(0, end)).digest()
  const signature = Buffer.from(compact.slice(end + 1), 'base64url')
  return signature.length === mac.length && timingSafeEqual(signature, mac)
}
