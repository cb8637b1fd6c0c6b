import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { requestMail } from '../../../../src/accounts/mail-requests.ts'
import { changePassword } from '../../../../src/accounts/password-change.ts'
import { resetPassword } from '../../../../src/accounts/password-reset.ts'
import { canonicalEmail } from '../../../../src/users/email.ts'
import { callerOf } from '../caller.ts'
import { AcceptedSchema, accepted } from '../schemas.ts'
import { ChangePasswordBody, ForgotPasswordBody, ResetPasswordBody, schemas } from './schemas.ts'

const tags = ['auth']

export default async function passwordRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.put(
    '',
    {
      config: {
        access: 'user',
        budget: 'login',
        hashes: true,
        problems: ['user_not_found', 'invalid_credentials', 'password_too_common'],
      },
      schema: {
        operationId: 'changePassword',
        tags,
        summary: 'Set a new password; every other session ends',
        description: 'API keys stay, unless `end_keys` is true.',
        body: Ref(ChangePasswordBody),
        response: {
          204: { ...Type.Null(), description: 'The password was changed, the other sessions have ended' },
        },
      },
    },
    async (request, reply) => {
      const { current_password: current, new_password: wanted, end_keys: endKeys = false } = request.body
      await changePassword(request.services, request.owner, { current, wanted, endKeys }, callerOf(request))
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/forgot',
    {
      config: { access: 'public', budget: 'forgot', problems: ['mail_unavailable'] },
      schema: {
        operationId: 'forgotPassword',
        tags,
        summary: 'Request a mail with a link to set a new password',
        description:
          'The answer is the same with and without an account. A mailbox gets three such mails an hour, and another ' +
          'when none of their links is valid any more.',
        body: Ref(ForgotPasswordBody),
        response: { 202: { ...Ref(AcceptedSchema), description: 'Accepted' } },
      },
    },
    async (request, reply) => {
      await requestMail(app, 'forgot', canonicalEmail(request.body.email))
      return reply.code(202).send(accepted.forgot)
    },
  )

  app.post(
    '/reset',
    {
      config: {
        access: 'public',
        budget: 'verify',
        hashes: true,
        problems: ['invalid_token', 'password_too_common'],
      },
      schema: {
        operationId: 'resetPassword',
        tags,
        summary: 'Set a new password with the mailed token',
        description:
          'Every session and API key ends, and no session is opened: the next step is the login. The address counts as verified. If it ' +
          'never was before, the account begins anew: its tasks are deleted and its name is `User`. ' +
          'The token of the mail about a change of address undoes the change.',
        body: Ref(ResetPasswordBody),
        response: { 204: { ...Type.Null(), description: 'The password was set' } },
      },
    },
    async (request, reply) => {
      const { token, new_password: wanted } = request.body
      await resetPassword(request.services, { token, wanted }, callerOf(request))
      return reply.code(204).send(null)
    },
  )
}
