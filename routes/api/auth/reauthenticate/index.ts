import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { reauthenticate } from '../../../../src/accounts/reauthentication.ts'
import { sessionAnswer } from '../../../../src/sessions/answer.ts'
import { callerOf } from '../caller.ts'
import { Code } from '../mfa/schemas.ts'
import { Password, SessionSchema } from '../schemas.ts'

const ReauthenticateBody = Type.Object(
  { password: Password, code: Type.Optional(Code) },
  { $id: 'Reauthenticate', additionalProperties: false },
)

export default async function reauthenticateRoutes(app: RouteScope): Promise<void> {
  app.addSchema(ReauthenticateBody)

  app.post(
    '',
    {
      config: {
        access: 'user',
        budget: 'login',
        hashes: true,
        withoutSecondFactor: true,
        problems: [
          'user_not_found',
          'session_not_found',
          'invalid_credentials',
          'invalid_code',
          'second_factor_required',
        ],
      },
      schema: {
        operationId: 'reauthenticate',
        tags: ['auth'],
        summary: "Authenticate the session's user again, for what asks for a recent or a strong login",
        description:
          'The answer to `insufficient_user_authentication` (RFC 9470). The session stays, its tokens have a new ' +
          '`auth_time`, and `acr` `aal2` with a code of the second factor. The refresh token rotates: use the one of ' +
          'the answer. An account with a second factor needs `code`.',
        body: Ref(ReauthenticateBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The same session, authenticated now' } },
      },
    },
    async (request, reply) => {
      const signedIn = await reauthenticate(request.services, request.owner, request.body, callerOf(request))
      return reply.code(200).send(sessionAnswer(app, signedIn))
    },
  )
}
