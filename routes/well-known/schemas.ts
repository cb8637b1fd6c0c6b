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

export const schemas = [JwkSchema, JwksSchema]
