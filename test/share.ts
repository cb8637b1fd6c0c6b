import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import tap from 'tap'

/** Files of test/shares. */
const shares = 4

/**
 * Runs every so many-th test file in this process. A process for each file would spend most of its time on loading and
 * compiling what the others load and compile too, the embedded database first of all.
 * @param share from 0 on
 */
export async function runShare(share: number): Promise<void> {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && !file.startsWith('full'))
    .sort()
  for (const file of files.filter((_, at) => at % shares === share)) {
    tap.comment(file)
    await import(join(import.meta.dirname, file))
  }
}
