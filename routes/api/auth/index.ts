import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { deleteAccount, logIn, type SignedIn, signUp } from '../../../src/accounts/service.ts'
import { findOwnedUser, renameOwnedUser } from '../../../src/accounts/users.ts'
import { budgets } from '../../../src/limits.ts'
import { Problem } from '../../../src/problem.ts'
import type { Client } from '../../../src/sessions/repository.ts'
import {
  DeleteAccountBody,
  LogInBody,
  ProfileBody,
  SessionSchema,
  SignUpBody,
  schemas,
  UserSchema,
} from './schemas.ts'

const tags = ['auth']

export default async function authRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  function answer({ user, session }: SignedIn) {
    const { token, expiresAt } = app.issueAccessToken(user.id, session.id)
    return {
      user,
      token,
      token_type: 'Bearer' as const,
      expires_at: new Date(expiresAt * 1000).toISOString(),
    }
  }

  app.post(
    '/signup',
    {
      config: { access: 'public', rateLimit: budgets.signup, problems: ['email_already_registered'] },
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
      config: { access: 'public', rateLimit: budgets.login, problems: ['invalid_credentials'] },
      schema: {
        operationId: 'logIn',
        tags,
        summary: 'Open a session',
        description:
          'One answer for every reason why it cannot be opened: no such account, another password.',
        body: Ref(LogInBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session was opened' } },
      },
    },
    async (request, reply) => reply.code(200).send(answer(await logIn(app, request.body, clientOf(request)))),
  )

  app.get(
    '/me',
    {
      config: { access: 'user', problems: ['user_not_found'] },
      schema: {
        operationId: 'getMe',
        tags,
        summary: "Read the token's account",
        response: { 200: { ...Ref(UserSchema), description: 'The account' } },
      },
    },
    async (request, reply) => reply.code(200).send(found(await findOwnedUser(app.db, request.owner))),
  )

  app.patch(
    '/me',
    {
      config: { access: 'user', problems: ['user_not_found'] },
      schema: {
        operationId: 'updateMe',
        tags,
        summary: "Rename the token's account",
        body: Ref(ProfileBody),
        response: { 200: { ...Ref(UserSchema), description: 'The account as it is now' } },
      },
    },
    async (request, reply) =>
      reply.code(200).send(found(await renameOwnedUser(app.db, request.owner, request.body.name))),
  )

  app.post(
    '/me/delete',
    {
      config: {
        access: 'user',
        rateLimit: budgets.reauthenticate,
        problems: ['user_not_found', 'invalid_credentials'],
      },
      schema: {
        operationId: 'deleteMe',
        tags,
        summary: "Delete the token's account with its sessions and tasks",
        description: 'A POST, since gateways drop the body of a DELETE.',
        body: Ref(DeleteAccountBody),
        response: {
          204: { ...Type.Null(), description: 'The account, its sessions and its tasks are gone' },
        },
      },
    },
    async (request, reply) => {
      await deleteAccount(app, request.owner, request.body.password)
      return reply.code(204).send(null)
    },
  )
}

function found<T>(user: T | undefined): T {
  if (!user) throw new Problem('user_not_found')
  return user
}

/** The client as the session list will show it; a user agent is the sender's text, so bounded and printable. */
function clientOf(request: FastifyRequest): Client {
  const userAgent = (request.headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 255)
  return { ip: request.ip, userAgent }
}
