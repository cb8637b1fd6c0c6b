import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../../plugins/contract/provider.ts'
import { clientAddress } from '../../../../../plugins/limits/client-address.ts'
import { exportLines } from '../../../../../src/export/lines.ts'
import { exportedTables, tablesLeftOut } from '../../../../../src/export/tables.ts'
import { countOwned } from '../../../../../src/limits/own-budget.ts'
import { resources } from '../../../../../src/resources/index.ts'

/** Milliseconds without a byte taken; Node disconnects the reader at the second check in turn (slow read attack). */
const stalledAfterMs = 30_000

export default async function exportRoutes(app: RouteScope): Promise<void> {
  const tables = exportedTables(resources)
  const leftOut = tablesLeftOut(resources)

  app.get(
    '',
    {
      // A HEAD would read everything and send nothing of it.
      exposeHeadRoute: false,
      config: { access: 'user', maxAge: 300 },
      schema: {
        operationId: 'exportMe',
        tags: ['auth'],
        summary: "Export everything held about the token's account",
        description:
          'JSON lines, each `{"kind", "data"}`: first `export`, with what is withheld, then a line for each row, of ' +
          'the kind that its table is called, and last `end` with their number. Without `end` the export is not ' +
          'complete. Password hashes, hashes and MACs of tokens and keys, and the secret of a second factor are not ' +
          'in it. It asks for a login of the last five minutes.',
        produces: ['application/x-ndjson'],
        response: { 200: { ...Type.String(), description: 'What is held' } },
      },
    },
    async (request, reply) => {
      const { owner, caller, services } = request
      const ip = clientAddress(request)
      await countOwned(services, 'exports', { owner, ip })
      services.securityEvents.note({ event: 'account_exported', userId: owner, sessionId: caller.sid, ip })
      reply.raw.setTimeout(stalledAfterMs, () => reply.raw.destroy())
      const lines = exportLines(app.db, { owner, now: app.sessionPolicy.clock() }, tables, leftOut)
      return reply
        .code(200)
        .type('application/x-ndjson; charset=utf-8')
        .header('content-disposition', 'attachment; filename="export.jsonl"')
        .send(Readable.from(lines, { objectMode: false }) as unknown as string)
    },
  )
}
