import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { escapeHtml } from '../../../src/mail/render.ts'
import { localOnly } from '../local-only.ts'
import { accountPage } from './page.ts'

/** Built from `browser/` by scripts/account-page.js, beside this file and beside the bundle. */
const scriptFile = join(import.meta.dirname, 'account-page.js')

/** A page for looking at accounts, sessions and the second factor. Registered in development mode only. */
export default async function accountRoutes(
  app: RouteScope,
  { basePath }: { readonly basePath: string },
): Promise<void> {
  app.addHook('onRequest', localOnly)
  const { html, policy } = accountPage(escapeHtml(basePath), await readFile(scriptFile, 'utf8'))
  app.get(
    '',
    { config: { access: 'public' }, schema: { hide: true, response: { 200: Type.String() } } },
    async (_request, reply) =>
      reply.header('content-security-policy', policy).type('text/html; charset=utf-8').code(200).send(html),
  )
}
