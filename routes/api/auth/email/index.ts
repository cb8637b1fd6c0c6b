import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { clientAddress } from '../../../../plugins/limits/client-address.ts'
import { requestEmailChange } from '../../../../src/accounts/email-change.ts'
import { requestMail } from '../../../../src/accounts/mail-requests.ts'
import { verifyEmail } from '../../../../src/accounts/verification.ts'
import { canonicalEmail } from '../../../../src/users/email.ts'
import { callerOf } from '../caller.ts'
import { AcceptedSchema, accepted } from '../schemas.ts'
import { ChangeEmailBody, ResendBody, schemas, VerifyEmailBody } from './schemas.ts'

const tags = ['auth']

export default async function emailRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.post(
    '/verify',
    {
      config: { access: 'public', budget: 'verify', problems: ['invalid_token'] },
      schema: {
        operationId: 'verifyEmail',
        tags,
        summary: 'Verify an address with the token mailed to it',
        description:
          "The account's address is verified then; if another signup claimed it too, no password works until one is " +
          'set by mail. The token of a change of address replaces the old address, notifies it, and ends every ' +
          'session. Only this request uses the token up.',
        body: Ref(VerifyEmailBody),
        response: { 204: { ...Type.Null(), description: 'The address is verified' } },
      },
    },
    async (request, reply) => {
      await verifyEmail(request.services, { token: request.body.token, ip: clientAddress(request) })
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/resend',
    {
      config: { access: 'public', budget: 'forgot', problems: ['mail_unavailable'] },
      schema: {
        operationId: 'resendVerification',
        tags,
        summary: 'Request another verification mail',
        description:
          'The answer is the same without an account, for a verified address, and past three mails an hour.',
        body: Ref(ResendBody),
        response: { 202: { ...Ref(AcceptedSchema), description: 'Accepted' } },
      },
    },
    async (request, reply) => {
      await requestMail(app, 'resend', canonicalEmail(request.body.email))
      return reply.code(202).send(accepted.resend)
    },
  )

  app.put(
    '',
    {
      config: {
        access: 'user',
        budget: 'login',
        hashes: true,
        problems: ['user_not_found', 'invalid_credentials', 'mail_unavailable'],
      },
      schema: {
        operationId: 'changeEmail',
        tags,
        summary: 'Request a change of address',
        description:
          'The address stays until the token mailed to the new one is presented to /api/auth/email/verify. ' +
          'A verified address is notified at once, with a link that undoes the change. ' +
          'The answer is the same whether the new address is taken or not.',
        body: Ref(ChangeEmailBody),
        response: { 202: { ...Ref(AcceptedSchema), description: 'Accepted' } },
      },
    },
    async (request, reply) => {
      const { new_email: address, password } = request.body
      await requestEmailChange(
        request.services,
        request.owner,
        { email: canonicalEmail(address), password },
        callerOf(request),
      )
      return reply.code(202).send(accepted.change)
    },
  )
}
