// Reads a TAP stream from standard input and its first line of results: `PASSED FAILED SKIPPED`. Failed tests follow
// with their diagnostics; the whole stream where the run ended before its totals.
//   node .ci/tap-results.js < tap-output
import { readFileSync } from 'node:fs'

const totalsOf = (output) => output.split('\n').findLast((line) => /^# \{ total: \d+/.test(line))

/** The number that the totals at the end of the output give for `name`. */
export function total(output, name) {
  return Number(new RegExp(`\\b${name}: (\\d+)`).exec(totalsOf(output) ?? '')?.[1] ?? 0)
}

/** The lines of failed tests, each with the YAML block that follows it. */
export function failures(output) {
  const kept = []
  let diagnostics = false
  let failed = false
  for (const line of output.split('\n')) {
    if (/^ *not ok /.test(line)) {
      failed = true
      kept.push(line)
    } else if (failed && /^ *---$/.test(line)) diagnostics = true
    else if (!diagnostics) failed = false
    if (diagnostics) kept.push(line)
    if (diagnostics && /^ *\.\.\.$/.test(line)) diagnostics = failed = false
  }
  return kept
}

if (import.meta.filename === process.argv[1]) {
  const output = readFileSync(0, 'utf8')
  const [pass, fail, skip] = ['pass', 'fail', 'skip'].map((name) => total(output, name))
  process.stdout.write(`${pass} ${fail} ${skip}\n`)
  if (!totalsOf(output)) process.stdout.write(output)
  else if (fail > 0) process.stdout.write(`${failures(output).join('\n')}\n`)
}
