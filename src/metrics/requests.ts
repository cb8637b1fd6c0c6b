import { Histogram, type Registry } from 'prom-client'
import type { Problem } from '../problem.ts'
import { type Series, Tally } from './tally.ts'

/** A request that has been answered, or whose client has disconnected. */
export interface EndedRequest {
  /** Null for a message that the parser refused. */
  readonly method: string | null
  /** The pattern; null where no route matched. */
  readonly route: string | null
  /** Null where no answer had begun. */
  readonly status: number | null
  /** Null where its beginning is not known. */
  readonly seconds: number | null
  readonly problem: Pick<Problem, 'code' | 'reason'> | null | undefined
}

/** Seconds. The last ones are for readers that wait, at most 30 seconds. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 31]

/** Of which the service has routes. Any other that the parser knows is one series. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** What a scan is answered, and a malformed message. Their series are there from the start: not even the first adds any. */
const statusesOfNone = [404, 405, 429]
const statusesOfMalformed = [400, 408, 431]

/** The series of one route, by method and status. */
interface RouteSeries {
  readonly name: string
  readonly observe: (seconds: number) => void
  readonly counts: Map<string | null, Map<number | null, Series>>
}

/** Counts and times requests. No label is anything that a client chose. */
export class RequestMetrics {
  readonly #requests: Tally
  readonly #durations: Histogram
  readonly #routes = new Map<string | null, RouteSeries>()

  constructor(registry: Registry) {
    this.#requests = new Tally(registry, {
      name: 'latchkey_http_requests_total',
      help: 'Requests, by route pattern, method and status; aborted: the client left before an answer began',
      labels: ['route', 'method', 'status'],
    })
    this.#durations = new Histogram({
      name: 'latchkey_http_request_duration_seconds',
      help: 'From the head of a request to its answer',
      labelNames: ['route'],
      buckets,
      registers: [registry],
    })
    this.#durations.zero({ route: 'none' })
    const none = this.#resolve(null)
    for (const method of knownMethods)
      for (const status of statusesOfNone) this.#resolveCount(none, method, status)
    for (const status of statusesOfMalformed) this.#resolveCount(none, null, status)
  }

  count({ route, method, status, seconds }: EndedRequest): void {
    const series = this.#routes.get(route) ?? this.#resolve(route)
    if (seconds !== null) series.observe(seconds)
    const known = series.counts.get(method)?.get(status) ?? this.#resolveCount(series, method, status)
    known.value++
  }

  #resolve(route: string | null): RouteSeries {
    const name = route ?? 'none'
    const { observe } = this.#durations.labels(name)
    const made = { name, observe, counts: new Map() }
    this.#routes.set(route, made)
    return made
  }

  #resolveCount({ name, counts }: RouteSeries, method: string | null, status: number | null): Series {
    const label = method === null ? 'none' : knownMethods.has(method) ? method : 'other'
    const series = this.#requests.of(name, label, status === null ? 'aborted' : String(status))
    const ofMethod = counts.get(method) ?? new Map()
    counts.set(method, ofMethod.set(status, series))
    return series
  }
}
