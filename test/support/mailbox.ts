import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { type RootOperationNode, sql } from 'kysely'
import type { DeliveredMail } from '../../src/mail/local-mailbox.ts'
import { type AppOptions, migratedDatabase, testApp } from '../helper.ts'
import type { Test } from './postgres.ts'

/**
 * What has been mailed to an address, once all that is due has been delivered. The mail that was caused last comes
 * first, since mails of one batch are delivered in any order; of one name the mail delivered last, which has the link
 * that replaced the others.
 */
export async function mailTo(app: FastifyInstance, address: string): Promise<DeliveredMail[]> {
  await app.mailWorker?.settled()
  const mails = app.mailbox?.mails.filter(({ to }) => to === address) ?? []
  if (mails.length < 2) return mails
  const rows = await app.db
    .selectFrom('mail_outbox')
    .select(['id', 'mail'])
    .where('recipient', '=', address)
    .where('state', '=', 'sent')
    .orderBy('id', 'desc')
    .execute()
  return mails
    .map((mail) => {
      const at = rows.findIndex((sent) => sent.mail === mail.name)
      const [row] = at < 0 ? [] : rows.splice(at, 1)
      return { mail, id: row?.id ?? 0 }
    })
    .sort((one, other) => other.id - one.id)
    .map(({ mail }) => mail)
}

/** The token in the link of the newest mail to an address. */
export async function tokenTo(app: FastifyInstance, address: string): Promise<string> {
  const [mail] = await mailTo(app, address)
  const token = /#token=([\w-]+)/.exec(mail?.text ?? '')?.[1]
  if (!token) throw new Error(`no link in the newest mail to ${address}: ${mail?.name}`)
  return token
}

/** Ages the outbox by more than an hour, so that quotas are free again. */
export async function forgetMails(app: FastifyInstance): Promise<void> {
  await app.mailWorker?.settled()
  await sql`update mail_outbox set created_at = created_at - interval '61 minutes'`.execute(app.db)
}

export const post = (app: FastifyInstance, path: string, payload: object) =>
  app.inject({ method: 'POST', url: `/api/auth/${path}`, payload })

/** A response without its ids and date. */
export function comparable({ statusCode, headers, body }: LightMyRequestResponse) {
  const { 'x-request-id': id, date: _, ...others } = headers
  return { statusCode, headers: others, body: body.replaceAll(String(id), 'id') }
}

/** Statements that run in the background. */
const beside = /"(revocations|security_events)"/

/**
 * An app that records the shape of each statement, without values and without those of the background.
 */
export async function recordingApp(t: Test, options: AppOptions = {}) {
  const statements: string[] = []
  const shapes = new WeakMap<object, string>()
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery({ node, queryId }) {
      shapes.set(queryId, shapeOf(node))
      return node
    },
    async transformResult({ result, queryId }) {
      // Without a shape: cached by src/db/compiled.ts for another app.
      const shape = shapes.get(queryId) ?? 'compiled before'
      if (!beside.test(shape)) statements.push(shape)
      return result
    },
  })
  return { app: await testApp(t, { ...options, db }), statements }
}

function shapeOf(node: RootOperationNode): string {
  return JSON.stringify(node, (name, value) => (name === 'value' || name === 'values' ? '?' : value))
}
