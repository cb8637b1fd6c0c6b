// Reads a TAP stream from standard input and its first line of results: `PASSED FAILED SKIPPED`. Failed tests follow
// with their diagnostics; the whole stream where the run ended before its totals.
//   node .ci/tap-results.js < tap-output
import { readFileSync } from 'node:fs'

const output = readFileSync(0, 'utf8')
const lines = output.split('\n')
const totals = lines.findLast((line) => /^# \{ total: \d+/.test(line))
const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(totals ?? '')?.[1] ?? 0)

/** The lines of failed tests, each with the YAML block that follows it. */
function failures() {
  const kept = []
  let diagnostics = false
  let failed = false
  for (const line of lines) {
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

process.stdout.write(`${count('pass')} ${count('fail')} ${count('skip')}\n`)
if (!totals) process.stdout.write(output)
else if (count('fail') > 0) process.stdout.write(`${failures().join('\n')}\n`)
