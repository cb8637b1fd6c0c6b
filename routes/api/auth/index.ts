import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { logIn, signUp } from '../../../src/accounts/service.ts'
import { endOwnedSessions } from '../../../src/sessions/ending.ts'
import { refreshToken } from '../../../src/sessions/refresh-token.ts'
import { refreshSession, type SignedIn } from '../../../src/sessions/service.ts'
import { clientOf } from './client.ts'
import meRoutes from './me/index.ts'
import passwordRoutes from './password/index.ts'
import { LogInBody, LogOutBody, RefreshBody, SessionSchema, SignUpBody, schemas } from './schemas.ts'
import sessionRoutes from './sessions/index.ts'

const tags = ['auth']

export default async function authRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  function answer({ user, session: { id, generation, salt } }: SignedIn) {
    const { token, expiresIn } = app.issueAccessToken(user.id, id)
    return {
      user,
      token,
      token_type: 'Bearer' as const,
      expires_in: expiresIn,
      refresh_token: refreshToken(app.sessionPolicy.refreshKeys, { sessionId: id, generation }, salt),
    }
  }

  app.post(
    '/signup',
    {
      config: { access: 'public', budget: 'signup', problems: ['email_already_registered'] },
      schema: {
        operationId: 'signUp',
        tags,
        summary: 'Make an account and open its first session',
        body: Ref(SignUpBody),
        response: { 201: { ...Ref(SessionSchema), description: 'The account was made' } },
      },
    },
    async (request, reply) =>
      reply.code(201).send(answer(await signUp(app, request.body, clientOf(request)))),
  )

  app.post(
    '/login',
    {
      config: { access: 'public', budget: 'password', problems: ['invalid_credentials'] },
      schema: {
        operationId: 'logIn',
        tags,
        summary: 'Open a session',
        description:
          'One answer for every reason why it cannot be opened: no such account, another password. ' +
          'A user has 20 sessions at the most; with one more, the oldest ends.',
        body: Ref(LogInBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session was opened' } },
      },
    },
    async (request, reply) => reply.code(200).send(answer(await logIn(app, request.body, clientOf(request)))),
  )

  app.post(
    '/refresh',
    {
      config: { access: 'public', budget: 'refresh', problems: ['invalid_grant'] },
      schema: {
        operationId: 'refresh',
        tags,
        summary: 'Exchange a refresh token for the next session answer',
        description:
          'Each use gives the next refresh token. The same one again within 10 seconds gives the same successor, ' +
          'for an answer that was lost; later, or an older one, ends the session: somebody else has it.',
        body: Ref(RefreshBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session goes on' } },
      },
    },
    async (request, reply) =>
      reply.code(200).send(answer(await refreshSession(app, request.body.refresh_token, clientOf(request)))),
  )

  app.post(
    '/logout',
    {
      config: { access: 'user' },
      schema: {
        operationId: 'logOut',
        tags,
        summary: "End the token's session, or others of its user",
        description:
          'Access and refresh tokens of an ended session are refused from then on. No body ends this session.',
        body: Ref(LogOutBody),
        response: { 204: { ...Type.Null(), description: 'The sessions are over' } },
      },
      preValidation: async (request) => {
        request.body ??= {}
      },
    },
    async (request, reply) => {
      // A token without a session has none to end, and all of the user's are others.
      const sid = request.user?.sid ?? ''
      const scopes = { current: { only: sid }, others: { except: sid }, all: 'all' } as const
      await endOwnedSessions(app, request.owner, scopes[request.body.scope ?? 'current'], request.ip)
      return reply.code(204).send(null)
    },
  )

  await app.register(meRoutes, { prefix: '/me' })
  await app.register(sessionRoutes, { prefix: '/sessions' })
  await app.register(passwordRoutes, { prefix: '/password' })
}
