import t from 'tap'
import { signatureAlgorithms } from '../../../src/tokens/jwk.ts'
import { keyName, keysOf } from '../../../src/tokens/jwks-keys.ts'
import { keyPair } from '../../support/key-pair.ts'

t.test('a kid may have one key per algorithm, and a key may be listed twice (A08)', async (t) => {
  const rsa = keyPair('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
  const other = keyPair('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
  const ec = keyPair('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const sets: Record<string, [keys: object[], found: string[], refused: string[]]> = {
    'one key, an entry for each algorithm': [
      ['RS256', 'RS384', 'RS512'].map((alg) => ({ ...rsa, alg })),
      ['RS256', 'RS384', 'RS512'],
      ['PS256', 'ES256'],
    ],
    'the same entry twice': [[rsa, rsa], ['RS256', 'PS512'], []],
    'the same key, once with its algorithm': [
      [{ ...rsa, alg: 'RS256', use: 'sig' }, rsa],
      ['RS256', 'RS384'],
      [],
    ],
    'keys of two types': [[rsa, ec], ['RS256', 'ES256'], ['EdDSA']],
    'one for signatures, one for encryption': [
      [rsa, { ...other, use: 'enc', alg: 'RSA-OAEP' }],
      ['RS256'],
      [],
    ],
    'two keys for two algorithms': [
      [
        { ...rsa, alg: 'RS256' },
        { ...other, alg: 'PS256' },
      ],
      ['RS256', 'PS256'],
      ['RS384'],
    ],
    'two keys for one algorithm': [
      [{ ...rsa, alg: 'RS256' }, other, { ...rsa, alg: 'RS256' }, ec],
      ['RS384', 'ES256'],
      ['RS256'],
    ],
  }
  for (const [label, [keys, found, refused]] of Object.entries(sets)) {
    const reasons: string[] = []
    const set = keys.map((key) => ({ ...key, kid: 'k1' }))
    const read = keysOf(set, signatureAlgorithms, (_kid, why) => reasons.push(why))
    for (const alg of found)
      t.match(read.get(keyName('k1', alg)), /^-----BEGIN PUBLIC KEY-----/, `${label}: ${alg}`)
    for (const alg of refused) t.notOk(read.has(keyName('k1', alg)), `${label}: ${alg}`)
    t.equal(
      reasons.includes('shares its kid and algorithm with another one'),
      label === 'two keys for one algorithm',
      label,
    )
  }
})
