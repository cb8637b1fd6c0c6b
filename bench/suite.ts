import { type Comparison, compare, type Pace, type Spread } from './compare.ts'
import { comparable, type Measure, onDemand, parts } from './parts.ts'
import { stopAll } from './processes.ts'

/** A line of the table of ratios. */
export interface Ratio extends Comparison {
  readonly where: string
  readonly what: string
  readonly connections: number
}

/** A line of the table of absolute figures. */
export interface Figure {
  readonly what: string
  readonly unit: string
  readonly value: Spread
}

export interface Results {
  readonly ratios: Ratio[]
  readonly figures: Figure[]
}

export interface Plan {
  readonly quick: boolean
  readonly pace: Pace
  /** Prefix of the parts to measure; default: all. */
  readonly only: string | undefined
  readonly against: string | undefined
}

/** Runs the parts of a plan in turn; a part that fails is reported, and the others run. */
export async function runSuite(
  plan: Plan,
  log: (line: string) => void,
): Promise<Results & { failed: string[] }> {
  const results: Results = { ratios: [], figures: [] }
  const failed: string[] = []
  for (const [name, part] of Object.entries(plan.only ? { ...parts, ...onDemand } : parts)) {
    if (!name.startsWith(plan.only ?? '') || (plan.against && !comparable.includes(name))) continue
    const cleanUps: (() => unknown)[] = []
    const measure: Measure = async (where, what, [a, b], connections) => {
      const compared = await compare(a, b, connections, plan.pace)
      results.ratios.push({ ...compared, where, what, connections })
      const { rate, p99, cpu } = compared
      const text = [rate, p99, cpu].map(
        ({ median, low, high }) => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
      )
      log(`${where}, ${what}, ${connections}: rate ${text[0]}, p99 ${text[1]}, cpu ${text[2]}`)
    }
    try {
      await part({ teardown: (fn) => cleanUps.unshift(fn) }, plan, measure, results)
    } catch (error) {
      failed.push(`${name}: ${(error as Error).message}`)
      log(`${name} failed: ${(error as Error).stack}`)
    } finally {
      await stopAll()
      for (const cleanUp of cleanUps) await cleanUp()
    }
  }
  return { ...results, failed }
}
