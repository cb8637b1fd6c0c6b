// Compiles each TypeScript file into dist/, without checking types, which `npm run typecheck` does: the tests start in
// a tenth of the time that tsc takes. Plain JavaScript, since nothing is compiled yet.
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { buildAccountPage } from './account-page.js'
import { sourceFolders } from './source-folders.js'

const entryPoints = sourceFolders.flatMap((folder) =>
  readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts') && !file.includes('/browser/'))
    .map((file) => join(folder, file)),
)

/** Leaves every import where it is, as tsc's `rewriteRelativeImportExtensions` does. */
const imports = {
  name: 'imports',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'entry-point'
        ? undefined
        : { external: true, path: path.startsWith('.') ? path.replace(/\.ts$/, '.js') : path },
    )
  },
}

// Else the tests of a file that was renamed would still run.
rmSync('dist/test', { recursive: true, force: true })
await build({
  entryPoints,
  outbase: '.',
  outdir: 'dist',
  bundle: true,
  plugins: [imports],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  logLevel: 'warning',
})
await buildAccountPage('dist/routes/dev/account')
