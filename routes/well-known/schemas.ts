import { Type } from '@sinclair/typebox'
import { Ref } from '../../plugins/contract/schemas.ts'

const Coordinate = (description: string) => Type.Optional(Type.String({ description }))

export const JwkSchema = Type.Object(
  {
    kty: Type.String({ description: 'The kind of key', examples: ['OKP'] }),
    kid: Type.String({
      description: 'Names the key in the header of a token; its RFC 7638 thumbprint',
      examples: ['kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'],
    }),
    alg: Type.String({ description: 'The one algorithm that the key is for', examples: ['EdDSA'] }),
    use: Type.Literal('sig'),
    crv: Coordinate('The curve, of EdDSA and ES256 keys'),
    x: Coordinate('Of EdDSA and ES256 keys'),
    y: Coordinate('Of ES256 keys'),
    n: Coordinate('The modulus, of RS256 keys'),
    e: Coordinate('The exponent, of RS256 keys'),
  },
  { $id: 'Jwk', description: 'A public key, RFC 7517' },
)

export const JwksSchema = Type.Object(
  { keys: Type.Array(Ref(JwkSchema)) },
  { $id: 'Jwks', description: 'Public keys, RFC 7517 section 5' },
)

const Url = (description: string) => Type.String({ format: 'uri', description })
const Texts = (description: string) => Type.Array(Type.String(), { description })

export const MetadataSchema = Type.Object(
  {
    issuer: Url('`PUBLIC_URL`, and the `iss` of every token issued here'),
    jwks_uri: Url('The keys; it has none where tokens are signed with a shared secret'),
    token_endpoint: Url('RFC 6749'),
    introspection_endpoint: Url('RFC 7662'),
    revocation_endpoint: Url('RFC 7009'),
    grant_types_supported: Texts('`client_credentials`: users log in at `/api/auth/login`'),
    response_types_supported: Texts('None: there is no authorization endpoint'),
    subject_types_supported: Texts('`public`: every service sees the same `sub`'),
    scopes_supported: Texts('Of service clients; a client may have others for its calls to other services'),
    token_endpoint_auth_methods_supported: Texts('How a service client authenticates'),
    introspection_endpoint_auth_methods_supported: Texts('The access token of a client is taken too'),
    revocation_endpoint_auth_methods_supported: Texts('`none`: the token is the proof'),
    id_token_signing_alg_values_supported: Texts('The algorithm of access tokens; there are no ID tokens'),
  },
  { $id: 'Metadata', description: 'What OAuth libraries look for, RFC 8414 section 2' },
)

export const schemas = [JwkSchema, JwksSchema, MetadataSchema]
