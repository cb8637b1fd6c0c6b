import type { MfaTokenKeys } from './mfa-token.ts'
import type { FactorKeys } from './sealed-secret.ts'

/** The keys of second factors, and the name by which authenticator apps list this service. */
export interface SecondFactorPolicy {
  readonly factorKeys: FactorKeys
  readonly tokenKeys: MfaTokenKeys
  readonly issuer: string
}
