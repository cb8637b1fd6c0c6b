import { setTimeout as delay } from 'node:timers/promises'
import { basicAuthorization } from '../tokens/client-credentials.ts'
import { readBounded } from '../tokens/fetch-json.ts'
import { isHttpUrl } from '../tokens/http-url.ts'
import type { Revocation, Revocations } from './revocations.ts'

/** How another service reads the revocations of a Latchkey. */
export interface RevocationFeedOptions {
  /** A service client of that Latchkey with the scope `revocations:read`, and for API keys `introspect`. */
  readonly clientId: string
  readonly clientSecret: string
  /** URL of that Latchkey, where this service cannot reach it at its PUBLIC_URL. */
  readonly url?: string
}

interface ReaderOptions extends RevocationFeedOptions {
  readonly url: string
  readonly revocations: Revocations
  /** Called when what was read before may be of another database. */
  readonly onStartOver?: () => void
  /** Logs the beginning of an outage, and its end. */
  readonly log: {
    warn(fields: object, message: string): void
    info(fields: object, message: string): void
  }
}

/** For which the Latchkey may hold a request: well below the staleness at which tokens are refused. */
const waitSeconds = 4

/** Beyond the wait, for a whole answer. */
const timeoutMs = 4_000

/** An answer has 2,000 entries, of at most 1 KiB in practice. */
const maxBytes = 8 * 1024 * 1024

const sweepEveryMs = 30_000

/** Longest pause between two attempts: of an outage, and of a refused secret, whose attempts are counted there. */
const maxPauseMs = { away: 2_000, refused: 10_000 }
const firstPauseMs = 250

/** The Latchkey refuses this client. */
class ClientRefused extends Error {
  override name = 'ClientRefused'
}

/** @throws Error when a member is missing or the URL is invalid */
export function assertFeedOptions({ clientId, clientSecret, url }: Partial<RevocationFeedOptions>): void {
  if (!clientId || !clientSecret) throw new Error('revocations needs clientId and clientSecret')
  if (!url || !isHttpUrl(url)) throw new Error('revocations needs latchkeyUrl, or an http(s) URL of its own')
}

/**
 * Keeps {@link Revocations} as current as a Latchkey is, by its feed: one request at a time that waits for news, none
 * for a token. It heals by itself; while it hears nothing, the revocations become unknown.
 */
export class RevocationReader {
  readonly #options: ReaderOptions
  readonly #url: string
  readonly #authorization: string
  readonly #stopped = new AbortController()
  #cursor: string | undefined
  /** Whether the last answer had a further page. */
  #more = true
  /** When the pass of pages began, on the clock of the revocations. */
  #askedAt = 0
  #failures = 0
  #warned = ''
  #sweptAt = Number.NEGATIVE_INFINITY

  /** @throws Error for invalid options */
  constructor(options: ReaderOptions) {
    assertFeedOptions(options)
    this.#options = options
    this.#url = `${options.url.replace(/\/+$/, '')}/gateway/revocations`
    this.#authorization = basicAuthorization(options.clientId, options.clientSecret)
  }

  /** Resolves once everything has been read, or an attempt has failed; reading goes on. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      void this.#readForever(resolve)
    })
  }

  /** At once: a request that waits is aborted. */
  stop(): void {
    this.#stopped.abort()
  }

  async #readForever(onFirst: () => void): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const pauseMs = await this.#readOnce()
      if (!this.#more || this.#failures > 0) onFirst()
      if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {})
    }
    onFirst()
  }

  /** @returns how long to pause before the next one, in milliseconds */
  async #readOnce(): Promise<number> {
    try {
      const isQuiet = await this.#read()
      this.#succeeded()
      // An instance that drains answers at once: no tight loop.
      return isQuiet ? jittered(firstPauseMs) : 0
    } catch (error) {
      if (this.#stopped.signal.aborted) return 0
      this.#failed(error)
      const longest = error instanceof ClientRefused ? maxPauseMs.refused : maxPauseMs.away
      return jittered(Math.min(firstPauseMs * 2 ** (this.#failures - 1), longest))
    }
  }

  /** @returns whether it was answered before its wait was over, with nothing */
  async #read(): Promise<boolean> {
    const { revocations } = this.#options
    this.#tidy()
    const isFirst = this.#cursor === undefined || !this.#more
    const waitMs = this.#more ? 0 : waitSeconds * 1000
    const asked = revocations.now
    if (isFirst) this.#askedAt = asked
    const answer = await this.#ask(waitMs)
    revocations.apply(answer.revocations)
    this.#cursor = answer.cursor
    this.#more = answer.more
    const now = revocations.now
    // As of the answer, but of no later than it was due: it may have lain in a buffer.
    if (!answer.more) revocations.heard(Math.min(now, this.#askedAt + waitMs))
    return waitMs > 0 && answer.revocations.length === 0 && now - asked < waitMs / 2
  }

  async #ask(waitMs: number): Promise<Answer> {
    const query = new URLSearchParams({ wait: String(waitMs / 1000) })
    if (this.#cursor !== undefined) query.set('after', this.#cursor)
    const response = await fetch(`${this.#url}?${query}`, {
      redirect: 'error',
      headers: { authorization: this.#authorization, accept: 'application/json' },
      signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(waitMs + timeoutMs)]),
    })
    if (!response.ok) {
      await response.body?.cancel()
      // The cursor is of a database that was replaced.
      if (response.status === 400) this.#startOver()
      const message = `the answer is ${response.status}`
      throw response.status === 401 || response.status === 403
        ? new ClientRefused(message)
        : new Error(message)
    }
    const body = await readBounded(response, maxBytes)
    return answerOf(body, /rel="?next"?/.test(response.headers.get('link') ?? ''))
  }

  #startOver(): void {
    this.#cursor = undefined
    this.#more = true
    this.#options.revocations.forgetRevisions()
    this.#options.onStartOver?.()
  }

  #tidy(): void {
    const { revocations } = this.#options
    // Entries were dropped that matter again.
    if (revocations.checkClock()) this.#startOver()
    if (revocations.now - this.#sweptAt < sweepEveryMs) return
    this.#sweptAt = revocations.now
    revocations.sweep()
  }

  #succeeded(): void {
    if (this.#warned !== '') this.#options.log.info({}, 'the revocations of the Latchkey are read again')
    this.#warned = ''
    this.#failures = 0
  }

  #failed(err: unknown): void {
    this.#failures++
    const message =
      err instanceof ClientRefused
        ? 'the Latchkey refuses the client of revocations: wrong clientSecret, or no scope revocations:read; trying again'
        : 'the revocations of the Latchkey could not be read; trying again'
    // A lost connection or an instance that ended is no outage yet.
    if (this.#warned === message || (this.#failures === 1 && !(err instanceof ClientRefused))) return
    this.#warned = message
    this.#options.log.warn({ err }, message)
  }
}

/** Full jitter, so that the readers of a service that returns do not all ask at once. */
function jittered(ms: number): number {
  return Math.random() * ms
}

interface Answer {
  readonly cursor: string
  readonly revocations: readonly Revocation[]
  readonly more: boolean
}

/** @throws Error when it is not a feed */
function answerOf(body: Buffer, more: boolean): Answer {
  const { cursor, revocations } = JSON.parse(body.toString()) ?? {}
  if (typeof cursor !== 'string' || !Array.isArray(revocations)) throw new Error('the answer is not a feed')
  return { cursor, revocations: revocations.flatMap(revocationOf), more }
}

/** None for a form that a later Latchkey may have. */
function revocationOf(entry: Readonly<Record<string, unknown>>): Revocation[] {
  const { session_id: session, user_key: user, issued_until: at, key_id: key, ends_at: endsAt } = entry
  const { ban_revision: revision } = entry
  if (typeof endsAt !== 'number') throw new Error('an entry of the feed has no ends_at')
  if (typeof session === 'string') return [{ session, endsAt }]
  if (typeof key === 'string') return [{ key, endsAt }]
  if (typeof user === 'string' && typeof at === 'number' && typeof revision === 'number')
    return [{ banned: user, until: at, revision, endsAt }]
  if (typeof user === 'string' && typeof at === 'number') return [{ user, at, endsAt }]
  return []
}
