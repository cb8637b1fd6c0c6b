import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { filesOf } from './files.ts'
import { Refused } from './refused.ts'
import { wantedBy } from './request.ts'
import { assertFree } from './taken.ts'

/**
 * Writes a resource: migration, declaration, test, and the two indexes.
 * @param root folder of the service
 * @returns the paths that were written
 * @throws Refused before anything is written
 */
export function newResource(args: readonly string[], root: string): string[] {
  const wanted = wantedBy(args)
  assertFree(wanted, root)
  const files = filesOf(wanted, root)
  for (const [path, text] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return [...files.keys()]
}

/** As `npm run lint` wants them; without it they are as good. */
function format(paths: readonly string[]): void {
  spawnSync('node_modules/.bin/biome', ['check', '--write', ...paths], { stdio: 'ignore' })
}

if (import.meta.filename === process.argv[1]) {
  try {
    const paths = newResource(process.argv.slice(2), '.')
    format(paths)
    const next =
      'Next: npm run contract, then npm test. A row in "Data" and "Growth" of docs/security.md is yours.'
    process.stdout.write(`${paths.map((path) => `wrote ${path}`).join('\n')}\n${next}\n`)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    process.stderr.write(`new:resource: ${error.message}\n`)
    process.exitCode = 1
  }
}
