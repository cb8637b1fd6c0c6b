import { build } from 'esbuild'

/** Bundles the script of /dev/account for browsers, with latchkey-client and what draws the QR code. */
export async function buildAccountPage(folder) {
  await build({
    entryPoints: { 'account-page': 'routes/dev/account/browser/account.ts' },
    outdir: folder,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    tsconfigRaw: {},
    legalComments: 'none',
    logLevel: 'warning',
  })
}
