import { Counter, type Registry } from 'prom-client'

/** One series of a counter. */
export interface Series {
  value: number
}

interface TallyOptions {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
}

/**
 * A counter whose series are resolved once, so that counting is an addition: the library's own hashes the labels each
 * time.
 */
export class Tally {
  readonly #labels: readonly string[]
  readonly #series = new Map<string, Series & { readonly labels: Readonly<Record<string, string>> }>()

  constructor(registry: Registry, { name, help, labels }: TallyOptions) {
    this.#labels = labels
    const series = this.#series
    new Counter({
      name,
      help,
      labelNames: labels,
      registers: [registry],
      collect() {
        this.reset()
        for (const { labels, value } of series.values()) this.inc(labels, value)
      },
    })
  }

  /** The series of these values, in the order of the labels; begins at zero. */
  of(...values: readonly string[]): Series {
    const name = values.join('\n')
    const known = this.#series.get(name)
    if (known) return known
    const labels = Object.fromEntries(this.#labels.map((label, at) => [label, values[at] ?? '']))
    const made = { labels, value: 0 }
    this.#series.set(name, made)
    return made
  }
}
