import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Packages that stay outside of the bundle. */
export const unbundled: readonly string[] = JSON.parse(readFileSync('scripts/unbundled.json', 'utf8'))

/** Where a package finds another one: beside itself, or beside what it is in. */
function folderOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name)
    if (existsSync(found)) return found
    if (folder === dirname(folder)) return undefined
  }
}

/** The folders of packages and of all that they depend on, as far as it is installed. */
export function closureOf(names: readonly string[], from = '.'): string[] {
  const folders = new Set<string>()
  const add = (name: string, from: string) => {
    const folder = folderOf(name, from)
    if (folder !== undefined) folders.add(folder)
  }
  for (const name of names) add(name, from)
  for (const folder of folders) {
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'package.json'), 'utf8'),
    )
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) add(name, folder)
  }
  return [...folders].sort()
}

/** Copies the packages that are not in the bundle, for the image. */
if (import.meta.filename === process.argv[1]) {
  const outdir = 'dist/image'
  rmSync(outdir, { recursive: true, force: true })
  for (const folder of closureOf(unbundled)) {
    // A package within another one comes with that, and is copied again to the same place.
    cpSync(folder, join(outdir, folder), { recursive: true })
  }
}
