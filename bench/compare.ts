import { runLoad, type Workload } from './load.ts'
import type { Server } from './processes.ts'
import { ascending, quantile } from './statistics.ts'

/** A server, or a set of processes, in a comparison. */
export interface Side {
  readonly servers: readonly Server[]
  readonly workload: Workload
  /** A concurrent second load. */
  readonly beside?: { readonly workload: Workload; readonly connections: number }
}

export interface Pace {
  readonly rounds: number
  /** Of each side in each round. */
  readonly milliseconds: number
}

/** Median and range over the rounds. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export interface Sample {
  readonly rate: number
  readonly p99: number
  /** Microseconds of the server's processor time per request; NaN without /proc. */
  readonly cpu: number
}

export interface Comparison {
  /** Of `a` to `b`, of each round. */
  readonly rate: Spread
  readonly p99: Spread
  readonly cpu: Spread
  readonly samples: { readonly a: readonly Sample[]; readonly b: readonly Sample[] }
}

/** Warm-up of each side, enough for the JIT. */
const warmUp = { milliseconds: 2_500, atMost: 4_000 }

export function spread(values: readonly number[]): Spread {
  const sorted = ascending(values)
  return {
    median: quantile(sorted, 0.5),
    low: sorted[0] ?? Number.NaN,
    high: sorted.at(-1) ?? Number.NaN,
  }
}

/**
 * Measures sides in turn, each once per round and in reverse order every other round, so that noise of the machine
 * affects all of them.
 * @returns the samples of each side, in the order of the rounds
 */
export async function alternate(
  sides: readonly Side[],
  connections: number,
  { rounds, milliseconds }: Pace,
): Promise<Sample[][]> {
  const samples: Sample[][] = sides.map(() => [])
  for (const side of sides) await runLoad({ ...loadOf(side), connections, ...warmUp })
  for (let round = 0; round < rounds; round++) {
    const order = sides.map((_, at) => at)
    for (const at of round % 2 === 0 ? order : order.reverse())
      samples[at]?.push(await measure(sides[at] as Side, connections, milliseconds))
  }
  return samples
}

/** Two sides in turn: ratios of `a` to `b`. */
export async function compare(a: Side, b: Side, connections: number, pace: Pace): Promise<Comparison> {
  const [ofA = [], ofB = []] = await alternate([a, b], connections, pace)
  const ratio = (figure: keyof Sample) =>
    spread(ofA.map((sample, at) => sample[figure] / (ofB[at]?.[figure] ?? Number.NaN)))
  return { rate: ratio('rate'), p99: ratio('p99'), cpu: ratio('cpu'), samples: { a: ofA, b: ofB } }
}

function loadOf({ servers, workload }: Side) {
  return { ports: servers.map(({ port }) => port), workload }
}

async function measure(side: Side, connections: number, milliseconds: number): Promise<Sample> {
  const load = loadOf(side)
  const cpu = () => side.servers.reduce((sum, server) => sum + server.cpu(), 0)
  const before = cpu()
  const [{ requests, rate, p99 }] = await Promise.all([
    runLoad({ ...load, connections, milliseconds }),
    side.beside && runLoad({ ...load, ...side.beside, milliseconds }),
  ])
  return { rate, p99, cpu: ((cpu() - before) / requests) * 1e6 }
}
