import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import type { MailStyle } from '../../src/mail/compose.ts'
import { samples } from '../../src/mail/samples.ts'
import { Problem } from '../../src/problem.ts'
import { localOnly } from './local-only.ts'
import { mailboxPage, mailPolicy, pagePolicy, samplesPage } from './page.ts'

interface DevOptions {
  readonly publicUrl: string
  readonly basePath: string
  readonly style: MailStyle
}

const config = { access: 'public' } as const
const response = { 200: Type.String() }

/** The mailbox of development without a mail server. Registered in development mode only. */
export default async function devRoutes(
  app: RouteScope,
  { publicUrl, basePath, style }: DevOptions,
): Promise<void> {
  // The mails contain reset links.
  app.addHook('onRequest', localOnly)

  const place = { path: `${basePath}/dev/mailbox`, publicUrl }
  const html = (reply: FastifyReply, policy: string) =>
    reply.header('content-security-policy', policy).type('text/html; charset=utf-8').code(200)

  app.get('', { config, schema: { hide: true, response } }, async (_request, reply) =>
    html(reply, pagePolicy).send(mailboxPage(place, app.mailbox?.mails ?? [])),
  )

  const byNumber = Type.Object({ number: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) })
  app.get(
    '/:number/html',
    { config, schema: { hide: true, params: byNumber, response } },
    async (request, reply) => {
      const mail = app.mailbox?.mails.find(({ number }) => number === request.params.number)
      if (!mail) throw new Problem('not_found')
      return html(reply, mailPolicy).send(mail.html)
    },
  )

  app.get('/samples', { config, schema: { hide: true, response } }, async (_request, reply) =>
    html(reply, pagePolicy).send(samplesPage(place, samples(style, app.mail.tokens))),
  )

  const byName = Type.Object({ name: Type.String({ maxLength: 64 }) })
  app.get(
    '/samples/:name/html',
    { config, schema: { hide: true, params: byName, response } },
    async (request, reply) => {
      const sample = samples(style, app.mail.tokens).find(({ name }) => name === request.params.name)
      if (!sample) throw new Problem('not_found')
      return html(reply, mailPolicy).send(sample.html)
    },
  )
}
