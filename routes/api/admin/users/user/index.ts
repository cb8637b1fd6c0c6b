import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { RouteScope } from '../../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../../plugins/contract/schemas.ts'
import { deleteUser, endSessions, removeFactor, requestReset } from '../../../../../src/admin/actions.ts'
import { banUser, unbanUser } from '../../../../../src/admin/banning.ts'
import type { Operator } from '../../../../../src/admin/operator.ts'
import type { ProblemCode } from '../../../../../src/problem.ts'
import { operatorOf } from '../../operator-of.ts'
import type { AdminOptions } from '../../options.ts'
import { AdminUserParams, BanBody } from '../../schemas.ts'

const tags = ['admin']

const guard = { access: 'service', scope: 'admin:write', hidden: true } as const

/** An action without a body. */
interface Action {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly done: string
  readonly problems?: readonly ProblemCode[]
  run(services: FastifyInstance, operator: Operator, userId: string): Promise<void>
}

const actions: Readonly<Record<string, Action>> = {
  '/unban': {
    operationId: 'unbanUser',
    summary: 'Lift the ban of a user',
    description: 'The user logs in again: what the ban has ended stays ended. Without a ban nothing changes.',
    done: 'The user is not banned',
    run: unbanUser,
  },
  '/sessions/end': {
    operationId: 'endSessionsOfUser',
    summary: 'End every session of a user',
    description: 'And revoke the tokens of trusted issuers that were issued until now. API keys stay.',
    done: 'The sessions have ended',
    run: endSessions,
  },
  '/mfa/reset': {
    operationId: 'resetSecondFactor',
    summary: 'Remove the second factor of a user',
    description: 'For a user who has lost it. Every session ends, and the user gets a mail.',
    done: 'The second factor was removed',
    problems: ['second_factor_not_enrolled'],
    run: removeFactor,
  },
  '/password/reset': {
    operationId: 'requestPasswordReset',
    summary: 'Mail a user the link that sets a new password',
    description: "404 also for a trusted issuer's user, whose password is not kept here.",
    done: 'The mail was queued',
    problems: ['mail_unavailable'],
    run: requestReset,
  },
  '/delete': {
    operationId: 'deleteUser',
    summary: 'Delete a user',
    description:
      "With its sessions, API keys and tasks. A trusted issuer's user begins anew with the next token, unless " +
      'the user is banned: that ban stays.',
    done: 'The user was deleted',
    run: deleteUser,
  },
}

export default async function actionRoutes(app: RouteScope, { trustedIssuers }: AdminOptions): Promise<void> {
  app.post(
    '/ban',
    {
      config: { ...guard, problems: ['user_not_found'] },
      schema: {
        operationId: 'banUser',
        tags,
        summary: 'Ban a user',
        description:
          'Every session, API key and token of the user ends within a second, here and at the services that follow ' +
          'the revocations. Until the ban ends, logins are 403 `account_disabled` and new tokens of trusted issuers ' +
          'are refused. Of a user who is banned already, `until` and `reason` are replaced.',
        params: AdminUserParams,
        body: Ref(BanBody),
        response: { 204: { ...Type.Null(), description: 'The user is banned' } },
      },
    },
    async (request, reply) => {
      const { user_id: userId } = request.params
      const { until, reason } = request.body
      await banUser(request.services, operatorOf(request), { userId, trustedIssuers, until, reason })
      return reply.code(204).send(null)
    },
  )

  for (const [path, { run, done, problems = [], ...words }] of Object.entries(actions)) {
    app.post(
      path,
      {
        config: { ...guard, problems: ['user_not_found', ...problems] },
        schema: {
          ...words,
          tags,
          params: AdminUserParams,
          response: { 204: { ...Type.Null(), description: done } },
        },
      },
      async (request, reply) => {
        await run(request.services, operatorOf(request), request.params.user_id)
        return reply.code(204).send(null)
      },
    )
  }
}
