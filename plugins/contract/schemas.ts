import { type SchemaOptions, type Static, type TSchema, Type } from '@sinclair/typebox'
import { problemCodes } from '../../src/problem.ts'
import { codeKinds } from '../../src/second-factor/codes.ts'
import { oauthErrors } from '../problems/oauth.ts'

/** A typed reference to a schema added with `app.addSchema`. */
export function Ref<T extends TSchema>(schema: T) {
  return Type.Unsafe<Static<T>>(Type.Ref(`${schema.$id}#`))
}

/** A string or null. With `anyOf`, null would be coerced, and generators emit two types. */
export function Nullable(options: SchemaOptions) {
  return Type.Unsafe<string | null>({ ...options, type: ['string', 'null'] })
}

/** RFC 3339 in UTC. */
export function Timestamp(description: string) {
  return Type.String({ format: 'date-time', description, examples: ['2026-01-31T12:00:00.000Z'] })
}

/**
 * A pattern of the decimal integers from 1 to 2^53 - 1, the greatest that every JSON parser reads exactly (RFC 8259
 * section 6).
 */
export const safeIntegerPattern = `^(${textsUpTo(String(Number.MAX_SAFE_INTEGER)).join('|')})$`

/** Fewer digits; or as many, and the first that differs is lower; or the same. */
function textsUpTo(greatest: string): string[] {
  const lower = [...greatest].flatMap((digit, at) => {
    const least = at === 0 ? 1 : 0
    if (Number(digit) <= least) return []
    const rest = greatest.length - at - 1
    return `${greatest.slice(0, at)}[${least}-${Number(digit) - 1}]${rest > 0 ? `[0-9]{${rest}}` : ''}`
  })
  return [`[1-9][0-9]{0,${greatest.length - 2}}`, ...lower, greatest]
}

/** The path parameter of a route with access `owner`. */
export const OwnerParams = Type.Object({
  user_id: Type.String({
    minLength: 1,
    maxLength: 255,
    description: "The owner: the token's subject",
    examples: ['user_01kb3v5rs1e2wbhx4hrsz3zj5e'],
  }),
})

export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'Always `about:blank`: `code` says which problem it is' }),
    title: Type.String({ description: 'The phrase of the status' }),
    status: Type.Integer({ description: 'The HTTP status' }),
    detail: Type.String({ description: 'What happened, for a person' }),
    code: Type.Unsafe<string>({
      type: 'string',
      enum: problemCodes,
      description: 'What happened, for a program',
    }),
    request_id: Type.String({ description: 'Names this request in the log of the service' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          path: Type.String({ description: 'The field' }),
          message: Type.String({ description: 'What is wrong with it' }),
        }),
        { description: 'On `validation_failed`: the fields and what is wrong with them' },
      ),
    ),
    mfa_token: Type.Optional(
      Type.String({
        description:
          'On `second_factor_required` at a login: what the code is presented with, for five minutes; opaque',
      }),
    ),
    methods: Type.Optional(
      Type.Array(Type.Unsafe<string>({ type: 'string', enum: codeKinds }), {
        description: 'On `second_factor_required`: the kinds of code that are accepted',
      }),
    ),
  },
  {
    $id: 'Problem',
    description: 'An error, RFC 9457',
    examples: [
      {
        type: 'about:blank',
        title: 'Forbidden',
        status: 403,
        detail: 'Not authorized to access this resource',
        code: 'not_owner',
        request_id: '5f0c1f0e-6c0a-4b8e-9d51-3a8c0e0f7f51',
      },
    ],
  },
)

export const OAuthErrorSchema = Type.Object(
  {
    error: Type.Unsafe<string>({
      type: 'string',
      enum: [...oauthErrors],
      description: 'What happened, for an OAuth library',
    }),
    error_description: Type.String({ description: 'What happened, for a person' }),
    code: Type.Unsafe<string>({
      type: 'string',
      enum: problemCodes,
      description: 'What happened, for a program',
    }),
    detail: Type.String({ description: 'The same as `error_description`' }),
    status: Type.Integer({ description: 'The HTTP status' }),
    request_id: Type.String({ description: 'Names this request in the log of the service' }),
  },
  { $id: 'OAuthError', description: 'An error of /oauth, RFC 6749 section 5.2' },
)
