// Makes dist/bundle, which is what runs. Plain JavaScript, since `npm start` runs it before anything is compiled.
//   node scripts/bundle.js [--if-older]
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

const outdir = 'dist/bundle'

/** What the bundle is made of; changing it makes a bundle outdated. */
const sources = [
  'src',
  'plugins',
  'routes',
  'client/src',
  'scripts/account-page.js',
  'scripts/bundle.js',
  'scripts/unbundled.json',
  'package-lock.json',
]

const changedAt = (path) => statSync(path).mtimeMs

function newestSource() {
  const files = sources.flatMap((path) =>
    statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true }).map((file) => join(path, file))
      : [path],
  )
  return Math.max(...files.map(changedAt))
}

/** An image has the bundle and no sources. */
function isCurrent() {
  const bundle = join(outdir, 'server.js')
  return existsSync(bundle) && (!existsSync('src') || changedAt(bundle) > newestSource())
}

/**
 * Bundles the service and its packages, where possible, into a few files: resolving about 1,200 modules takes half of
 * the start. What only some configurations need is a chunk of its own, loaded lazily.
 */
async function bundle() {
  // Lazy: with a current bundle esbuild need not be installed.
  const { build } = await import('esbuild')
  // Packages with binaries or files that they find by path.
  const unbundled = JSON.parse(readFileSync('scripts/unbundled.json', 'utf8'))
  rmSync(outdir, { recursive: true, force: true })
  await build({
    entryPoints: ['src/server.ts'],
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // Optional dependency of pg.
    external: [...unbundled, 'pg-native'],
    // CommonJS packages call `require` for Node's own modules.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'\nconst require = requireFrom(import.meta.url)",
    },
    // For stack traces; Node reads them with --enable-source-maps only.
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  })
  const { buildAccountPage } = await import('./account-page.js')
  // Beside the bundle, and beside what `npm run build` compiles.
  for (const folder of [outdir, 'dist/routes/dev/account']) await buildAccountPage(folder)
}

if (!process.argv.includes('--if-older') || !isCurrent()) await bundle()
