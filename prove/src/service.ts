import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from './document.ts'
import type { Method, TokenPlace } from './operations.ts'
import { CannotProve } from './refusal.ts'

export interface Outgoing {
  readonly method: Method
  /** Path and query, without the base URL. */
  readonly target: string
  readonly serverPath: string
  readonly headers: Readonly<Record<string, string>>
  readonly cookies: readonly string[]
  readonly body?: string | FormData | undefined
  readonly token: string | undefined
  readonly place: TokenPlace
}

export interface Answer {
  /** 0 without an answer: `failure` is the reason. */
  readonly status: number
  readonly failure?: string
  readonly headers: Headers
  readonly text: string
  /** The parsed body; undefined where it is no JSON. */
  readonly json: unknown
}

export interface ServiceOptions {
  readonly baseUrl: URL
  /** Of one request. */
  readonly timeoutMs: number
  /** Longest wait for one request that is answered 429 or 503, and a tenth of all such waits. */
  readonly maxWaitMs: number
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

const maxBody = 2_000_000

export const accepted = ({ status }: Answer) => status >= 200 && status < 300

/** Sends requests one after the other, and waits where it is asked to. */
export class Service {
  readonly #options: ServiceOptions
  #reached = false
  #waitedMs = 0

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  /**
   * The answer, after the waits that 429 and 503 ask for.
   * @throws CannotProve if nothing has ever answered
   */
  async send(outgoing: Outgoing): Promise<Answer> {
    const { maxWaitMs, log } = this.#options
    let waited = 0
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#sendOnce(outgoing, attempt === 0)
      if (answer.status !== 429 && answer.status !== 503) return answer
      const pause = retryAfterMs(answer.headers.get('retry-after')) ?? 1_000 * 2 ** attempt
      const tooLong = waited + pause > maxWaitMs || this.#waitedMs + pause > 10 * maxWaitMs
      if (tooLong || (answer.status === 503 && attempt >= 3)) return answer
      log(`answered ${answer.status}: waiting ${Math.ceil(pause / 1000)} s`)
      await delay(pause, undefined, { signal: this.#options.signal })
      waited += pause
      this.#waitedMs += pause
    }
  }

  async #sendOnce(outgoing: Outgoing, mayRepeat: boolean): Promise<Answer> {
    const { timeoutMs, signal } = this.#options
    const { method, headers, cookies, body, token, place } = outgoing
    const all = new Headers({ accept: 'application/json, */*;q=0.5', ...headers })
    const sent = [...cookies]
    if (token !== undefined && place.in === 'header') all.set(place.name, `${place.scheme}${token}`)
    if (token !== undefined && place.in === 'cookie') sent.push(`${place.name}=${token}`)
    if (sent.length > 0) all.set('cookie', sent.join('; '))
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      const answer = await fetch(this.#urlOf(outgoing), {
        method,
        headers: all,
        redirect: 'manual',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        ...(body === undefined ? {} : { body }),
      })
      this.#reached = true
      const text = await textOf(answer)
      return { status: answer.status, headers: answer.headers, text, json: jsonOf(text) }
    } catch (error) {
      signal?.throwIfAborted()
      const failure = reasonOf(error)
      // A server that closed an idle connection has not seen the request.
      const closed = failure === 'ECONNRESET' || failure === 'UND_ERR_SOCKET'
      if (closed && mayRepeat) return this.#sendOnce(outgoing, false)
      if (!this.#reached) throw new CannotProve(`cannot reach ${this.#options.baseUrl.origin}: ${failure}`)
      return { status: 0, failure, headers: new Headers(), text: '', json: undefined }
    }
  }

  /** A base URL with a path is complete; to one without, the path of the document's server is added. */
  #urlOf({ serverPath, target }: Outgoing): string {
    const { origin, pathname } = this.#options.baseUrl
    const base = pathname.replace(/\/+$/, '')
    return `${origin}${base === '' ? serverPath : base}${target}`
  }
}

/** What there is of a body that may never end, as a stream of events. */
async function textOf(answer: Response): Promise<string> {
  if (!answer.body) return ''
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of answer.body) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > maxBody) break
    }
  } catch {
    // The status has come; a body that stops is judged by what there is of it.
  }
  return text
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Milliseconds of a Retry-After header, RFC 9110 section 10.2.3. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) return undefined
  const milliseconds = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(milliseconds) ? undefined : Math.max(100, milliseconds)
}

/** An answer in a few words. */
export function described({ status, failure, json }: Answer): string {
  if (status === 0) return `not answered (${failure})`
  const { detail, message, title, error } = (typeof json === 'object' && json !== null ? json : {}) as Record<
    string,
    unknown
  >
  const [said] = [detail, message, title, error].filter((each) => each !== undefined)
  if (said === undefined) return `answered ${status}`
  const text = typeof said === 'string' ? said : JSON.stringify(said)
  return `answered ${status} (${text.replace(/\s+/g, ' ').slice(0, 160)})`
}
