import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Spread } from './compare.ts'
import { spread } from './compare.ts'
import type { PluginCost } from './plugin-costs.ts'
import type { Plan, Results } from './suite.ts'

export interface Report extends Results {
  readonly failed: readonly string[]
  readonly pluginCosts: readonly PluginCost[]
  readonly postgresVersion: string
}

const [begin, end] = ['<!-- bench:begin -->', '<!-- bench:end -->']

/** Puts the tables between the markers of a document. */
export function writeReport(file: string, report: Report, plan: Plan): void {
  const [before, rest = ''] = readFileSync(file, 'utf8').split(begin)
  const after = rest.split(end)[1]
  if (after === undefined) throw new Error(`${file} has no markers to write between`)
  writeFileSync(file, `${before}${begin}\n\n${tables(report, plan)}\n\n${end}${after}`)
}

export function tables(
  { ratios, figures, pluginCosts, failed, postgresVersion }: Report,
  plan: Plan,
): string {
  const { rounds, milliseconds } = plan.pace
  const made = [
    `${new Date().toISOString().slice(0, 10)}, ${plan.quick ? 'quick' : 'full'} mode`,
    `Node ${process.versions.node}`,
    `PostgreSQL ${postgresVersion}`,
    `${availableParallelism()} cores, shared by the servers, the database and the load`,
    `${rounds} rounds of ${milliseconds} ms for each side in turn`,
  ]
  return [
    `${made.join('; ')}. Median of the rounds, and in parentheses the lowest and the highest.`,
    table(
      ['workload', 'connections', 'requests a second', '99th percentile', 'processor time', 'us a request'],
      ratios.map(({ where, what, connections, rate, p99, cpu, samples }) => [
        `${what}; ${where}`,
        String(connections),
        range(rate),
        range(p99),
        range(cpu),
        [samples.a, samples.b]
          .map((side) => spread(side.map((one) => one.cpu)).median.toFixed(0))
          .join(' / '),
      ]),
    ),
    table(
      ['figure', 'value', 'unit'],
      figures.map(({ what, unit, value }) => [what, range(value), unit]),
    ),
    table(
      ['plugins, each with all above it', 'requests a second', 'processor time', 'adds, us'],
      pluginCosts.map(({ name, rate, cpu, adds }) => [name, range(rate), range(cpu), adds.toFixed(0)]),
    ),
    ...(failed.length > 0 ? [`Not measured: ${failed.join('; ')}.`] : []),
  ].join('\n\n')
}

function range({ median, low, high }: Spread): string {
  const [middle, ...ends] = [median, low, high].map((value) => value.toFixed(median < 10 ? 2 : 0))
  return low === high ? `${middle}` : `${middle} (${ends.join(' to ')})`
}

function table(head: readonly string[], rows: readonly string[][]): string {
  if (rows.length === 0) return ''
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
