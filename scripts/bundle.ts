import { rmSync } from 'node:fs'
import { build } from 'esbuild'
import { unbundled } from './unbundled.ts'

/**
 * Puts the service, and the packages that can be, into a few files: finding and loading some 1,200 modules one by one
 * would be half of a start. What only some configurations need stays in a file of its own, loaded when it is needed.
 */
const outdir = 'dist/bundle'
rmSync(outdir, { recursive: true, force: true })
await build({
  entryPoints: ['src/server.ts'],
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // pg asks for its native twin, and does without.
  external: [...unbundled, 'pg-native'],
  // Packages of the older module system call it for what Node brings along.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module'\nconst require = requireFrom(import.meta.url)",
  },
  // Beside the code, for who looks into a stack: node reads them with --enable-source-maps only.
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
})
