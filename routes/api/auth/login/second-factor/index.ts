import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../../plugins/contract/schemas.ts'
import { logInWithSecondFactor } from '../../../../../src/accounts/second-factor-login.ts'
import { sessionAnswer } from '../../../../../src/sessions/answer.ts'
import { callerOf } from '../../caller.ts'
import { Code } from '../../mfa/schemas.ts'
import { SessionSchema } from '../../schemas.ts'

const SecondFactorLogInBody = Type.Object(
  {
    mfa_token: Type.String({
      minLength: 1,
      maxLength: 1024,
      description: 'From the problem `second_factor_required` that the right password was answered with',
      examples: ['Jb3vTt1oC1jY3YtZm9yLWRvY3VtZW50YXRpb24tb25seSE'],
    }),
    code: Code,
  },
  { $id: 'SecondFactorLogIn', additionalProperties: false },
)

export default async function secondFactorLoginRoutes(app: RouteScope): Promise<void> {
  app.addSchema(SecondFactorLogInBody)

  app.post(
    '',
    {
      config: {
        access: 'public',
        budget: 'login',
        problems: ['invalid_code', 'invalid_token', 'account_disabled'],
      },
      schema: {
        operationId: 'logInWithSecondFactor',
        tags: ['auth'],
        summary: 'Open a session with a code, after the right password',
        description:
          'The `mfa_token` is good for five minutes and one session; a wrong code does not use it up. It ends with a ' +
          'change or reset of the password and with the factor: then the login begins anew.',
        body: Ref(SecondFactorLogInBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session was opened' } },
      },
    },
    async (request, reply) => {
      const { mfa_token: mfaToken, code } = request.body
      const signedIn = await logInWithSecondFactor(request.services, { mfaToken, code }, callerOf(request))
      return reply.code(200).send(sessionAnswer(app, signedIn))
    },
  )
}
