import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import tap from 'tap'

const tests = join(import.meta.dirname, '..')

const shares = readdirSync(join(import.meta.dirname, 'shares')).filter((file) => file.endsWith('.js')).length

/**
 * Runs every so many-th test file in this process. A process for each file would spend most of its time on loading and
 * compiling what the others load and compile too, the embedded database first of all.
 * @param share from 0 on
 */
export function runShare(share: number): void {
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && !file.startsWith('full'))
    .sort()
    .filter((_, at) => at % shares === share)
  // A test, so that no other begins before all are loaded: what one requires may be what another is about to import.
  tap.test('the files load', async (t) => {
    for (const file of files) {
      tap.comment(file)
      await import(join(tests, file))
      t.pass(file)
    }
  })
}
