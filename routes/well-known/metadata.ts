import { knownScopes } from '../../src/services/scopes.ts'

/** What the metadata says depends on the configuration alone: a Host header must not choose where secrets are sent. */
export interface MetadataOptions {
  /** PUBLIC_URL, without a trailing slash. */
  readonly publicUrl: string
  readonly algorithm: string
}

/** OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2. */
export function metadataOf({ publicUrl, algorithm }: MetadataOptions) {
  return {
    issuer: publicUrl,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    token_endpoint: `${publicUrl}/oauth/token`,
    introspection_endpoint: `${publicUrl}/oauth/introspect`,
    revocation_endpoint: `${publicUrl}/oauth/revoke`,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    subject_types_supported: ['public'],
    scopes_supported: knownScopes,
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    introspection_endpoint_auth_methods_supported: ['client_secret_basic'],
    revocation_endpoint_auth_methods_supported: ['none'],
    id_token_signing_alg_values_supported: [algorithm],
  }
}
