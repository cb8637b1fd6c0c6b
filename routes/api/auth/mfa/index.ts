import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { removeTotp, renewRecoveryCodes } from '../../../../src/accounts/second-factor-change.ts'
import { confirmTotp, setUpTotp } from '../../../../src/accounts/second-factor-setup.ts'
import { findOwnedState } from '../../../../src/second-factor/repository.ts'
import { callerOf } from '../caller.ts'
import {
  CodeBody,
  RecoveryCodesSchema,
  SecondFactorSchema,
  SetUpTotpBody,
  schemas,
  TotpSetupSchema,
} from './schemas.ts'

const tags = ['auth']

/** Each takes a code, which may be a guess. */
const takesCode = { access: 'user', budget: 'login', withoutSecondFactor: true } as const

export default async function mfaRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'user', withoutSecondFactor: true },
      schema: {
        operationId: 'getSecondFactor',
        tags,
        summary: 'Read whether the account has a second factor',
        response: { 200: { ...Ref(SecondFactorSchema), description: 'The second factor' } },
      },
    },
    async (request, reply) => {
      const { confirmed_at, recovery_codes_left } = await findOwnedState(app.db, request.owner)
      return reply
        .code(200)
        .send({ totp: { enabled: confirmed_at !== null, confirmed_at }, recovery_codes_left })
    },
  )

  app.post(
    '/totp',
    {
      config: {
        access: 'user',
        budget: 'login',
        hashes: true,
        withoutSecondFactor: true,
        problems: ['user_not_found', 'invalid_credentials', 'second_factor_enrolled'],
      },
      schema: {
        operationId: 'setUpTotp',
        tags,
        summary: 'Begin to set up an authenticator app as second factor',
        description:
          'Counts for nothing until it is confirmed, and replaces an earlier setup that was not. A confirmed factor is ' +
          'never replaced: delete it first.',
        body: Ref(SetUpTotpBody),
        response: { 200: { ...Ref(TotpSetupSchema), description: 'To be shown once, as a QR code' } },
      },
    },
    async (request, reply) => {
      const { password } = request.body
      return reply
        .code(200)
        .send(await setUpTotp(request.services, request.owner, password, callerOf(request)))
    },
  )

  app.post(
    '/totp/confirm',
    {
      config: {
        ...takesCode,
        problems: ['invalid_code', 'second_factor_enrolled', 'second_factor_not_enrolled'],
      },
      schema: {
        operationId: 'confirmTotp',
        tags,
        summary: 'Confirm the setup by a code of the app; every other session ends',
        description:
          'From then on each login takes a code. This session stays `aal1` until it reauthenticates. A recovery code is ' +
          'not accepted: there are none yet.',
        body: Ref(CodeBody),
        response: { 200: { ...Ref(RecoveryCodesSchema), description: 'The factor counts' } },
      },
    },
    async (request, reply) => {
      const { code } = request.body
      const codes = await confirmTotp(request.services, request.owner, code, callerOf(request))
      return reply.code(200).send({ recovery_codes: codes })
    },
  )

  app.post(
    '/totp/delete',
    {
      config: { ...takesCode, problems: ['invalid_code', 'second_factor_not_enrolled'] },
      schema: {
        operationId: 'deleteTotp',
        tags,
        summary: 'Remove the second factor, for a code of it; every other session ends',
        description:
          'A recovery code is accepted, for a device that is lost. Where the service requires a second factor of all ' +
          '(`REQUIRE_SECOND_FACTOR=all`), this session ends too.',
        body: Ref(CodeBody),
        response: { 204: { ...Type.Null(), description: 'The factor and its recovery codes are removed' } },
      },
    },
    async (request, reply) => {
      await removeTotp(request.services, request.owner, request.body.code, callerOf(request))
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/recovery-codes',
    {
      config: { ...takesCode, problems: ['invalid_code', 'second_factor_not_enrolled'] },
      schema: {
        operationId: 'renewRecoveryCodes',
        tags,
        summary: 'Replace the recovery codes, for a code of the second factor',
        description: 'The old ones work no more. A recovery code is accepted, and used up.',
        body: Ref(CodeBody),
        response: { 200: { ...Ref(RecoveryCodesSchema), description: 'The new codes' } },
      },
    },
    async (request, reply) => {
      const { code } = request.body
      const codes = await renewRecoveryCodes(request.services, request.owner, code, callerOf(request))
      return reply.code(200).send({ recovery_codes: codes })
    },
  )
}
