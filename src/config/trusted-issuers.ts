import { Type } from '@sinclair/typebox'
import { Value, ValueErrorType } from '@sinclair/typebox/value'
import { parseStrictJson } from '../http/strict-json.ts'
import { betterAuthIssuer } from '../tokens/better-auth.ts'
import type { JwksIssuer } from '../tokens/foreign-token.ts'
import { isHttpUrl, isPlainText } from '../tokens/http-url.ts'
import { issuerFaults } from '../tokens/issuer-keys.ts'
import { signatureAlgorithms } from '../tokens/jwk.ts'
import { secretWeakness } from '../tokens/secret.ts'

const TrustedIssuers = Type.Array(
  Type.Object(
    {
      issuer: Type.String({ minLength: 1, expected: 'the text that its tokens have in iss' }),
      audience: Type.String({ minLength: 1, expected: 'the text that its tokens have in aud' }),
      jwks_url: Type.Optional(Type.String({ expected: 'an http(s) URL without credentials' })),
      secret: Type.Optional(Type.String({ expected: 'a text of 32 bytes or more' })),
      algorithms: Type.Optional(
        Type.Array(
          Type.Union(
            signatureAlgorithms.map((name) => Type.Literal(name)),
            { expected: `one of ${signatureAlgorithms.join(', ')}` },
          ),
          { minItems: 1, expected: 'a list of at least one algorithm' },
        ),
      ),
    },
    {
      additionalProperties: false,
      expected: 'an object of issuer, audience and perhaps jwks_url and algorithms, or secret',
    },
  ),
  { expected: 'a JSON list' },
)

const members = 'issuer, audience, jwks_url, secret and algorithms'

interface IssuerVariables {
  readonly BETTER_AUTH_URL?: string
  readonly BETTER_AUTH_SECRET?: string
  readonly TRUSTED_ISSUERS?: string
}

/**
 * Parses BETTER_AUTH_URL, BETTER_AUTH_SECRET and TRUSTED_ISSUERS.
 * @param publicUrl this service's own issuer, which no other may have
 * @returns the issuers, and the faults: names and rules, no values
 */
export function readTrustedIssuers(
  variables: IssuerVariables,
  publicUrl: string,
): { issuers: readonly JwksIssuer[]; faults: readonly string[] } {
  const faults: string[] = []
  const issuers: JwksIssuer[] = []
  const { BETTER_AUTH_URL: betterAuth, BETTER_AUTH_SECRET: secret, TRUSTED_ISSUERS: list = '[]' } = variables
  if (betterAuth !== undefined) {
    if (isHttpUrl(betterAuth, { query: true })) issuers.push(betterAuthIssuer(betterAuth, secret))
    else faults.push('BETTER_AUTH_URL must be an http(s) URL without credentials')
  }
  if (secret !== undefined) {
    const weakness = secretWeakness(secret)
    if (weakness) faults.push(`BETTER_AUTH_SECRET ${weakness}`)
    if (betterAuth === undefined) faults.push('BETTER_AUTH_URL must be set when BETTER_AUTH_SECRET is')
  }
  const parsed = parseList(list)
  if (Value.Check(TrustedIssuers, parsed)) {
    for (const [at, { jwks_url: jwksUrl, ...rest }] of parsed.entries()) {
      const issuer = { ...rest, ...(jwksUrl === undefined ? {} : { jwksUrl }) }
      const wrong = entryFaults(issuer)
      if (wrong.length === 0 && issuers.some((other) => other.issuer === issuer.issuer))
        wrong.push('issuer must not be that of another entry, or of BETTER_AUTH_URL')
      if (wrong.length === 0) issuers.push(issuer)
      faults.push(...wrong.map((fault) => `TRUSTED_ISSUERS[${at}].${fault}`))
    }
  } else {
    const [first] = Value.Errors(TrustedIssuers, parsed)
    const place = first?.path.replace(/\/(\d+)/g, '[$1]').replaceAll('/', '.') ?? ''
    const unknown = first?.type === ValueErrorType.ObjectAdditionalProperties
    // The name of an unknown member may be a secret at the wrong place.
    faults.push(
      unknown
        ? `TRUSTED_ISSUERS${place.replace(/\..*/, '')} must have no other members than ${members}`
        : `TRUSTED_ISSUERS${place} must be ${first?.schema['expected']}`,
    )
  }
  if (issuers.some(({ issuer }) => issuer === publicUrl)) {
    faults.push(
      'PUBLIC_URL must differ from BETTER_AUTH_URL and from every issuer in TRUSTED_ISSUERS: on one origin, give it a path',
    )
  }
  return { issuers, faults }
}

function entryFaults(issuer: JwksIssuer): string[] {
  const faults = issuerFaults(issuer).map(
    ({ member, fault }) => `${member === 'jwksUrl' ? 'jwks_url' : member} ${fault}`,
  )
  if (!isPlainText(issuer.audience)) faults.push('audience must be the text that its tokens have in aud')
  return faults
}

function parseList(text: string): unknown {
  try {
    return parseStrictJson(Buffer.from(text))
  } catch {
    return undefined
  }
}
