import { collectDefaultMetrics, Registry } from 'prom-client'
import { type SecurityEventName, securityEventNames } from '../audit.ts'
import { budgets } from '../limits/budgets.ts'
import { problemCodes } from '../problem.ts'
import type { TokenOutcome } from '../tokens/outcome.ts'
import { type EndedRequest, RequestMetrics } from './requests.ts'
import { type Series, Tally } from './tally.ts'

/** The limits of src/limits, and the one on Idempotency-Keys. */
const limits: readonly string[] = [...Object.keys(budgets), 'idempotency_keys']

/** Of the library: gauges with the suffix of counters, which `promtool check metrics` refuses, and their parts. */
const misnamed = ['handles', 'requests', 'resources'].flatMap((what) => [
  `nodejs_active_${what}`,
  `nodejs_active_${what}_total`,
])

/** What is counted while requests are served. What is read at a scrape is in ./gauges.ts. */
export class Metrics {
  readonly registry = new Registry()
  readonly #requests = new RequestMetrics(this.registry)
  readonly #problems: ReadonlyMap<string, Series>
  readonly #events: ReadonlyMap<string, Series>
  readonly #limited: ReadonlyMap<string, Series>
  readonly #tokens: Tally
  readonly #ofTokens = new Map<string, Map<string, Series>>()

  /** @param issuers whose series begin at zero, so that the first token is an increase */
  constructor(issuers: readonly string[]) {
    const { registry } = this
    const closed = (name: string, help: string, label: string, values: readonly string[]) => {
      const tally = new Tally(registry, { name, help, labels: [label] })
      return new Map(values.map((value) => [value, tally.of(value)]))
    }
    this.#problems = closed('latchkey_problems_total', 'Problems answered, by code', 'code', problemCodes)
    this.#events = closed(
      'latchkey_security_events_total',
      'Security events of this process',
      'event',
      securityEventNames,
    )
    this.#limited = closed('latchkey_rate_limited_total', 'Requests that a limit refused', 'limit', limits)
    this.#tokens = new Tally(registry, {
      name: 'latchkey_tokens_verified_total',
      help: 'Bearer tokens, by the issuer that they claim, and accepted or why not',
      labels: ['issuer', 'result'],
    })
    for (const issuer of issuers) this.countToken(issuer, 'accepted', 0)
    collectDefaultMetrics({ register: registry })
    for (const name of misnamed) registry.removeSingleMetric(name)
  }

  get contentType(): string {
    return this.registry.contentType
  }

  /** All series in the Prometheus text format. */
  async render(): Promise<string> {
    const text = await this.registry.metrics()
    // The library's spelling is not that of the format.
    return text.replace(/ Nan$/gm, ' NaN')
  }

  countRequest(request: EndedRequest): void {
    this.#requests.count(request)
    const { problem } = request
    if (!problem) return
    increase(this.#problems.get(problem.code))
    // At /gateway/verify a limit refuses by 401.
    if (problem.reason === 'limited') increase(this.#limited.get('everything'))
    else if (problem.code === 'rate_limited') increase(this.#limited.get(problem.reason ?? ''))
  }

  countEvent(event: SecurityEventName): void {
    increase(this.#events.get(event))
  }

  /** @param issuer the name of a configured one, or another of a closed set */
  countToken(issuer: string, result: TokenOutcome, by = 1): void {
    const ofIssuer = this.#ofTokens.get(issuer) ?? new Map<string, Series>()
    const series = ofIssuer.get(result) ?? this.#tokens.of(issuer, result)
    this.#ofTokens.set(issuer, ofIssuer.set(result, series))
    series.value += by
  }
}

function increase(series: Series | undefined): void {
  if (series) series.value++
}
