import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The files that an entry of the package is made of, and the packages that they import by name. */
export interface Graph {
  readonly files: readonly string[]
  readonly packages: readonly string[]
}

const specifier = /(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g

/**
 * Walks the imports of compiled files, those of types too where an entry is a declaration.
 * @param entries paths, relative as the files of the answer are
 */
export function graphOf(entries: readonly string[]): Graph {
  const files = new Set(entries)
  const packages = new Set<string>()
  for (const file of files) {
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(specifier)) {
      if (name.startsWith('.')) files.add(fileOf(join(dirname(file), name)))
      else if (!name.startsWith('node:')) packages.add(packageOf(name))
    }
  }
  return { files: [...files].sort(), packages: [...packages].sort() }
}

/** A declaration names the source that it was made of. */
function fileOf(path: string): string {
  return path.replace(/(?<!\.d)\.ts$/, '.d.ts')
}

function packageOf(name: string): string {
  return name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
}

const entry = ['dist/plugins/auth.js', 'dist/plugins/auth.d.ts']

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/** Oldest tested version of Fastify. */
const fastify = '^5.0.0'

/**
 * The manifest of the package from that of the service: the entry with what it imports. Fastify is the one that the
 * importing service has; another copy would have other types, and know nothing of `config.access`.
 */
export function packageManifest(service: Manifest) {
  const { files, packages } = graphOf(entry)
  const { scripts: _, devDependencies: __, overrides: ___, dependencies, ...manifest } = service
  const imported = Object.entries(dependencies).filter(([name]) => packages.includes(name))
  const { fastify: own, ...others } = Object.fromEntries(imported)
  return { ...manifest, files, dependencies: others, peerDependencies: own ? { fastify } : {} }
}

const manifest = 'package.json'
const kept = 'package.service.json'

/** For `npm pack`, which reads the manifest from the folder: replaced before, and put back after. */
const commands: Record<string, () => void> = {
  prepack() {
    commands['postpack']?.()
    const text = readFileSync(manifest, 'utf8')
    const made = packageManifest(JSON.parse(text))
    writeFileSync(kept, text)
    writeFileSync(manifest, `${JSON.stringify(made, null, 2)}\n`)
  },
  postpack() {
    if (existsSync(kept)) renameSync(kept, manifest)
  },
}

if (import.meta.filename === process.argv[1]) commands[process.argv[2] ?? '']?.()
