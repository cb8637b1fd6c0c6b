import type { Principal } from '../tokens/owner.ts'
import { clientSubject, type Service } from '../tokens/service.ts'

type Claims = Readonly<Record<string, unknown>>

/** A token that was verified a moment ago. */
type Verified = { readonly claims: Claims } & (
  | { readonly user: Principal; readonly service?: never }
  | { readonly service: Service; readonly user?: never }
)

/** RFC 7662 section 2.2. Without `username` and anything else about the person. */
export interface Introspection {
  readonly active: boolean
  readonly sub?: string
  readonly sid?: string
  readonly iss?: string
  readonly aud?: string | string[]
  readonly exp?: number
  readonly iat?: number
  readonly jti?: string
  readonly client_id?: string
  readonly scope?: string
  readonly token_type?: 'Bearer'
  readonly auth_time?: number
  readonly acr?: string
  readonly amr?: string[]
}

/** For whatever would be refused, for any reason. */
export const inactive: Introspection = { active: false }

export function introspectionOf({ claims, user, service }: Verified): Introspection {
  const { iss, aud, exp, iat, jti, client_id: clientId, scope } = claims
  const scopes = service?.scopes ?? user?.scopes
  return present({
    active: true,
    sub: service ? clientSubject(service.id) : user?.sub,
    sid: user?.sid,
    iss: textOf(iss),
    aud: textOf(aud) ?? textsOf(aud),
    exp: secondsOf(exp),
    iat: secondsOf(iat),
    jti: textOf(jti),
    client_id: textOf(clientId),
    scope: scopes?.join(' ') ?? textOf(scope),
    token_type: 'Bearer' as const,
    auth_time: secondsOf(user?.authTime),
    acr: user?.acr,
    amr: textsOf(user?.amr),
  })
}

/** The fields that have a value. */
function present<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** Claims of other issuers that nobody else reads may have any type. */
const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined)

const textsOf = (value: unknown) =>
  Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : undefined

/** A NumericDate may have a fraction. */
const secondsOf = (value: unknown) => (typeof value === 'number' ? Math.floor(value) : undefined)
