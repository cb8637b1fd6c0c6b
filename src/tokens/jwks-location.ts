import { fetchJson } from './fetch-json.ts'
import { isHttpUrl } from './http-url.ts'

const maxKeys = 100

/** Where the JWKS of an issuer is. */
export interface JwksLocation {
  /** For the log: the JWKS, or the document that names it. */
  readonly url: string
  /**
   * Fetches the JWKS (RFC 7517 section 5).
   * @param now milliseconds that never go back
   * @returns its keys, not validated
   * @throws Error whose message quotes nothing of the response
   */
  fetch(now: number, signal: AbortSignal): Promise<readonly unknown[]>
}

/** A configured URL. */
export function jwksAt(url: string): JwksLocation {
  return { url, fetch: (_now, signal) => fetchJwks(url, signal) }
}

/** For how long a discovered URL is used: as long as keys are. */
const maxAgeMs = 600_000

/** The URL in the issuer's metadata (OpenID Connect Discovery 1.0 section 4), read again when a fetch failed. */
export class DiscoveredJwks implements JwksLocation {
  readonly url: string
  readonly #issuer: string
  #found: { readonly url: string; readonly at: number } | undefined

  constructor(issuer: string) {
    this.#issuer = issuer
    this.url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  }

  async fetch(now: number, signal: AbortSignal): Promise<readonly unknown[]> {
    const found =
      this.#found && now - this.#found.at <= maxAgeMs
        ? this.#found
        : { url: this.#jwksUriOf(await fetchJson(this.url, signal)), at: now }
    this.#found = undefined
    const keys = await fetchJwks(found.url, signal)
    this.#found = found
    return keys
  }

  #jwksUriOf(document: unknown): string {
    const { issuer, jwks_uri: url } = (document ?? {}) as Readonly<Record<string, unknown>>
    // Otherwise one issuer could vouch for the keys of another (section 4.3).
    if (issuer !== this.#issuer) throw new Error('the discovery document is of another issuer')
    if (typeof url !== 'string' || !isHttpUrl(url, { query: true })) {
      throw new Error('the discovery document has no jwks_uri that can be used')
    }
    // A downgrade would let an attacker on the path replace the keys.
    if (this.#issuer.startsWith('https:') && !url.startsWith('https:')) {
      throw new Error('the discovery document of an https issuer has a jwks_uri without TLS')
    }
    return url
  }
}

async function fetchJwks(url: string, signal: AbortSignal): Promise<readonly unknown[]> {
  const { keys } = ((await fetchJson(url, signal)) ?? {}) as { readonly keys?: unknown }
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new Error('the answer is not a JWKS')
  return keys
}
