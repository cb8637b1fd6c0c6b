import { inWords, type Kind, type OperationResult, type Probe, type Report } from './result.ts'

/** Columns of the table, and the probes in each. */
const columns: readonly (readonly [string, readonly Kind[]])[] = [
  ['no token', ['no_token']],
  ['forged', ['forged', 'forged_signature', 'forged_alg_none']],
  ["A's path", ['other_user', 'other_user_named']],
  ["A's item", ['foreign_item', 'foreign_item_own_parent']],
  ['A named', ['owner_named', 'own_path']],
]

const names = { sound: 'sound', hole: 'HOLE', not_proven: 'not proven', skipped: 'skipped' } as const

/** A table of all operations, the holes and doubts in words, and the verdict, as text. */
export function textOf({ operations, summary, verdict, leftBehind }: Report): string {
  const outcome = `${verdict.replace('_', ' ')}: ${summary}`
  if (operations.length === 0) return `${outcome}\n`
  const head = ['verdict', 'operation', 'A / B', ...columns.map(([title]) => title)]
  const rows = operations.map((result) => [
    names[result.verdict],
    result.operation,
    `${result.own.A ?? '-'} / ${result.own.B ?? '-'}`,
    ...columns.map(([, kinds]) => cellOf(result.probes.filter(({ kind }) => kinds.includes(kind)))),
  ])
  const widths = head.map((_, index) => Math.max(...[head, ...rows].map((row) => row[index]?.length ?? 0)))
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const explained = operations.filter(
    (result) => result.verdict === 'hole' || result.verdict === 'not_proven',
  )
  // What fails for the same reasons is listed together.
  const groups = new Map<string, OperationResult[]>()
  for (const result of explained) {
    const key = JSON.stringify([result.verdict, result.reasons])
    groups.set(key, [...(groups.get(key) ?? []), result])
  }
  const notes = [...groups.values()].flatMap((results) => [
    '',
    ...results.map((result) => `${names[result.verdict]}: ${result.operation}`),
    ...(results[0]?.reasons ?? []).map((reason) => `  - ${reason}`),
  ])
  const left = leftBehind.length > 0 ? ['', 'left behind:', ...leftBehind.map((line) => `  - ${line}`)] : []
  return [...lines, ...notes, ...left, '', outcome, ''].join('\n')
}

/** The first status of a group, or that of the hole or doubt in it, with a mark. */
function cellOf(probes: readonly Probe[]): string {
  const hole = probes.find(({ verdict }) => verdict === 'hole')
  const doubt = probes.find(({ verdict }) => verdict === 'unclear')
  const shown = hole ?? doubt ?? probes[0]
  return shown ? `${shown.status}${hole ? '!' : doubt ? '?' : ''}` : '-'
}

/** The report for programs; names do not change within a major version. */
export function jsonOf({ title, baseUrl, verdict, summary, operations, leftBehind }: Report): string {
  const count = (wanted: OperationResult['verdict']) =>
    operations.filter((each) => each.verdict === wanted).length
  const report = {
    title,
    base_url: baseUrl,
    verdict,
    summary,
    counts: {
      sound: count('sound'),
      hole: count('hole'),
      not_proven: count('not_proven'),
      skipped: count('skipped'),
    },
    findings: operations.flatMap(({ operation, probes }) =>
      probes
        .filter(({ verdict: found }) => found === 'hole')
        .map((probe) => ({ operation, ...probeOf(probe) })),
    ),
    operations: operations.map(({ operation, operationId, probes, ...rest }) => ({
      operation,
      operation_id: operationId ?? null,
      ...rest,
      probes: probes.map(probeOf),
    })),
    left_behind: leftBehind,
  }
  return `${JSON.stringify(report, null, 2)}\n`
}

const probeOf = ({ kind, method, namedIn, status, verdict, note }: Probe) => ({
  kind,
  method,
  named_in: namedIn ?? null,
  status,
  verdict,
  note,
})

/** JUnit XML, a test case for each operation: a hole is a failure, what is not proven is skipped. */
export function junitOf({ title, operations, summary }: Report): string {
  const count = (...wanted: OperationResult['verdict'][]) =>
    operations.filter(({ verdict }) => wanted.includes(verdict)).length
  // A run that could try nothing is an error, not a suite without tests.
  const broken = operations.length === 0
  const tests = broken ? 1 : operations.length
  const counts = `tests="${tests}" failures="${count('hole')}" errors="${broken ? 1 : 0}" skipped="${count('not_proven', 'skipped')}"`
  const error = `    <testcase classname="latchkey-prove" name="run"><error message="${xml(summary)}"/></testcase>`
  const cases = operations.map(({ operation, verdict, reasons, probes }) => {
    const open = `    <testcase classname="latchkey-prove" name="${xml(operation)}"`
    if (verdict === 'sound') return `${open}/>`
    const [message = ''] = reasons
    const tried = probes.map((probe) => `${inWords(probe)}: ${probe.status} ${probe.verdict}`)
    const inside =
      verdict === 'hole'
        ? `<failure message="${xml(message)}">${xml([...reasons, '', ...tried].join('\n'))}</failure>`
        : `<skipped message="${xml(message)}"/>`
    return `${open}>\n      ${inside}\n    </testcase>`
  })
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="latchkey-prove" ${counts}>`,
    `  <testsuite name="${xml(title)}" ${counts}>`,
    `    <properties><property name="summary" value="${xml(summary)}"/></properties>`,
    ...(broken ? [error] : cases),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

function xml(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML 1.0 cannot have them, in any form
      .replace(/[\x00-\x08\x0B\x0C\x0E-\x1F]/g, '\uFFFD')
  )
}
