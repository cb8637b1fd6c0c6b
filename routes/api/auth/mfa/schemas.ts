import { Type } from '@sinclair/typebox'
import { Nullable } from '../../../../plugins/contract/schemas.ts'
import { recoveryCodeCount } from '../../../../src/second-factor/codes.ts'
import { Password } from '../schemas.ts'

/** Any text: one of another form is answered with invalid_code, not validation_failed. */
export const Code = Type.String({
  minLength: 1,
  maxLength: 64,
  description:
    'Six digits of the authenticator app, or a recovery code where the operation accepts one; spaces, hyphens and ' +
    'the case of letters do not matter',
  examples: ['492039'],
})

export const CodeBody = Type.Object({ code: Code }, { $id: 'Code', additionalProperties: false })

export const SetUpTotpBody = Type.Object(
  { password: Password },
  { $id: 'SetUpTotp', additionalProperties: false },
)

export const TotpSetupSchema = Type.Object(
  {
    secret: Type.String({
      description: 'For typing into an authenticator app, in base32 (RFC 4648)',
      examples: ['GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'],
    }),
    otpauth_uri: Type.String({
      description: 'The same for a QR code',
      examples: [
        'otpauth://totp/Latchkey:test%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Latchkey&algorithm=SHA1&digits=6&period=30',
      ],
    }),
  },
  { $id: 'TotpSetup', description: 'A second factor that is yet to be confirmed (RFC 6238)' },
)

export const RecoveryCodesSchema = Type.Object(
  {
    recovery_codes: Type.Array(Type.String({ examples: ['7kq2m-x9d4h-0wz8v-b3c6n-r5t1y'] }), {
      minItems: recoveryCodeCount,
      maxItems: recoveryCodeCount,
      description: 'Each is good once, in place of a code of the app',
    }),
  },
  { $id: 'RecoveryCodes', description: 'Shown once: only MACs of them are kept' },
)

export const SecondFactorSchema = Type.Object(
  {
    totp: Type.Object({
      enabled: Type.Boolean({ description: 'Whether a login takes a code' }),
      confirmed_at: Nullable({
        format: 'date-time',
        description: 'Null without a confirmed factor',
        examples: ['2026-01-31T12:00:00.000Z'],
      }),
    }),
    recovery_codes_left: Type.Integer({ minimum: 0, examples: [10] }),
  },
  { $id: 'SecondFactor', description: "An account's second factor" },
)

export const schemas = [CodeBody, SetUpTotpBody, TotpSetupSchema, RecoveryCodesSchema, SecondFactorSchema]
