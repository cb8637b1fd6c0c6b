import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { clientAddress } from '../../../plugins/limits/client-address.ts'
import { logIn } from '../../../src/accounts/log-in.ts'
import { signUp } from '../../../src/accounts/sign-up.ts'
import { signUpUnverified } from '../../../src/accounts/verification.ts'
import { sessionAnswer } from '../../../src/sessions/answer.ts'
import { logOut } from '../../../src/sessions/ending.ts'
import { refreshSession } from '../../../src/sessions/refreshing.ts'
import { canonicalEmail } from '../../../src/users/email.ts'
import { callerOf } from './caller.ts'
import emailRoutes from './email/index.ts'
import keyRoutes from './keys/index.ts'
import secondFactorLoginRoutes from './login/second-factor/index.ts'
import meRoutes from './me/index.ts'
import mfaRoutes from './mfa/index.ts'
import passwordRoutes from './password/index.ts'
import reauthenticateRoutes from './reauthenticate/index.ts'
import {
  AcceptedSchema,
  accepted,
  LogInBody,
  LogOutBody,
  RefreshBody,
  SessionSchema,
  SignUpBody,
  schemas,
} from './schemas.ts'
import sessionRoutes from './sessions/index.ts'

const tags = ['auth']

interface AuthOptions {
  /** Longest life of an API key. */
  readonly maxKeyDays: number
}

export default async function authRoutes(app: RouteScope, { maxKeyDays }: AuthOptions): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.post(
    '/signup',
    {
      config: {
        access: 'public',
        budget: 'signup',
        hashes: true,
        idempotent: true,
        problems: [
          'email_already_registered',
          'password_too_common',
          'mail_unavailable',
          'account_disabled',
          'second_factor_required',
        ],
      },
      schema: {
        operationId: 'signUp',
        tags,
        summary: 'Create an account and open its first session',
        description:
          'A mail asks to verify the address. Where the service requires that before a login ' +
          '(`REQUIRE_EMAIL_VERIFICATION`), the answer is 202 without a session, the same for a new and a taken ' +
          'address. With the `Idempotency-Key` of the signup that created the account, the right password opens ' +
          'another session of it; an account with a second factor is asked for a code, as at a login.',
        body: Ref(SignUpBody),
        response: {
          201: { ...Ref(SessionSchema), description: 'The account was created' },
          202: { ...Ref(AcceptedSchema), description: 'A mail contains the next step' },
        },
      },
    },
    async (request, reply) => {
      const wanted = { ...request.body, email: canonicalEmail(request.body.email) }
      if (!app.verificationRequired) {
        const signedIn = await signUp(request.services, wanted, callerOf(request), request.keyed)
        return reply.code(201).send(sessionAnswer(app, signedIn))
      }
      await signUpUnverified(request.services, wanted, callerOf(request), request.keyed)
      return reply.code(202).send(accepted.signup)
    },
  )

  app.post(
    '/login',
    {
      config: {
        access: 'public',
        budget: 'login',
        hashes: true,
        problems: ['invalid_credentials', 'account_disabled', 'email_not_verified', 'second_factor_required'],
      },
      schema: {
        operationId: 'logIn',
        tags,
        summary: 'Open a session',
        description:
          'The error is the same without an account and for a wrong password. Only with the right ' +
          'password does it say that the user is banned, that the address must be verified first, where the service requires that, or that the ' +
          'account has a second factor: `second_factor_required` has an `mfa_token`, with which ' +
          '`POST /api/auth/login/second-factor` takes the code. A user ' +
          'has at most 20 sessions; one more ends the oldest. The last `refresh_token` of the device gives it its own ' +
          'budget of wrong passwords, so that an attacker cannot lock its user out.',
        body: Ref(LogInBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session was opened' } },
      },
    },
    async (request, reply) => {
      const { email: address, password, refresh_token: refreshToken } = request.body
      const given = { email: canonicalEmail(address), password, refreshToken }
      const signedIn = await logIn(request.services, given, callerOf(request))
      return reply.code(200).send(sessionAnswer(app, signedIn))
    },
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
          'Refresh tokens rotate: each use returns the next one. A retry within 10 seconds returns the same successor, ' +
          'for a response that was lost. Any other reuse ends the session, since the token has leaked.',
        body: Ref(RefreshBody),
        response: { 200: { ...Ref(SessionSchema), description: 'The session was refreshed' } },
      },
    },
    async (request, reply) => {
      const signedIn = await refreshSession(request.services, request.body.refresh_token, callerOf(request))
      return reply.code(200).send(sessionAnswer(app, signedIn))
    },
  )

  app.post(
    '/logout',
    {
      config: { access: 'user', withoutSecondFactor: true },
      schema: {
        operationId: 'logOut',
        tags,
        summary: "End the token's session, or others of its user",
        description:
          'The access and refresh tokens of an ended session are refused from then on. Without a body, the current ' +
          "session ends. A trusted issuer's token has no session: all such tokens of the user issued until now are " +
          'revoked. API keys stay.',
        body: Ref(LogOutBody),
        response: { 204: { ...Type.Null(), description: 'The sessions have ended' } },
      },
      preValidation: async (request) => {
        // `null` is a body, and fails validation.
        if (request.body === undefined) request.body = {}
      },
    },
    async (request, reply) => {
      const { owner, caller: principal } = request
      const from = { owner, principal, ip: clientAddress(request) }
      await logOut(request.services, from, request.body.scope ?? 'current')
      return reply.code(204).send(null)
    },
  )

  await app.register(secondFactorLoginRoutes, { prefix: '/login/second-factor' })
  await app.register(reauthenticateRoutes, { prefix: '/reauthenticate' })
  await app.register(mfaRoutes, { prefix: '/mfa' })
  await app.register(meRoutes, { prefix: '/me' })
  await app.register(sessionRoutes, { prefix: '/sessions' })
  await app.register(passwordRoutes, { prefix: '/password' })
  await app.register(emailRoutes, { prefix: '/email' })
  await app.register(keyRoutes, { prefix: '/keys', maxDays: maxKeyDays })
}
