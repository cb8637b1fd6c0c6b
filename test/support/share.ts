import './no-async-hooks.ts'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import tap from 'tap'

/*
 * Runs test files in one process, started by scripts/test.js: with a process per file, most of the time goes into
 * loading the same modules, above all the embedded database.
 *   node dist/test/support/share.js CLAIMS NUMBER [--from-the-end]
 * CLAIMS is a folder with the list of files, files.json, which is claimed from its start, or from its end.
 */

const claims = process.argv[2] ?? ''
const files: string[] = JSON.parse(readFileSync(join(claims, 'files.json'), 'utf8'))
const entries = [...files.entries()]
const queue = (process.argv.includes('--from-the-end') ? entries.reverse() : entries).values()

/** Each process takes the next unclaimed file: `mkdir` succeeds once. */
function claimNext(): string | undefined {
  for (const [index, file] of queue) {
    try {
      mkdirSync(join(claims, String(index)))
      return file
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  return undefined
}

/** Queued behind the tests of the previous file, so that nothing is loaded while a test runs. */
function runNext(): void {
  const file = claimNext()
  if (!file) return
  tap.test(file, async (t) => {
    await import(join(process.cwd(), file))
    t.pass('loads')
    runNext()
  })
}

runNext()
