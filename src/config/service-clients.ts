import { Type } from '@sinclair/typebox'
import { Value, ValueErrorType } from '@sinclair/typebox/value'
import { parseStrictJson } from '../http/strict-json.ts'
import type { ServiceClient } from '../services/clients.ts'
import { clientIdPattern, scopePattern } from '../tokens/service.ts'

const Digest = Type.String({
  pattern: '^[0-9a-f]{64}$',
  expected: 'the lower-case hex SHA-256 of a secret, or a list of one or two of them',
})

/** Together with the longest names, the most that a token can carry and still be accepted as a header. */
const maxScopes = 64

const Entries = Type.Array(
  Type.Object(
    {
      id: Type.String({
        pattern: clientIdPattern.source,
        expected: 'a lower-case letter, and at most 62 of a-z, 0-9 and - after it',
      }),
      secret_sha256: Type.Union([Digest, Type.Array(Digest, { minItems: 1, maxItems: 2 })], {
        expected: Digest['expected'],
      }),
      scopes: Type.Array(
        Type.String({
          pattern: scopePattern.source,
          expected: 'a lower-case letter, and at most 63 of a-z, 0-9, :, ., _ and - after it',
        }),
        {
          maxItems: maxScopes,
          uniqueItems: true,
          expected: `a list of at most ${maxScopes} different scopes`,
        },
      ),
    },
    { additionalProperties: false, expected: 'an object of id, secret_sha256 and scopes' },
  ),
  { maxItems: 1_000, expected: 'a JSON list of at most 1000 clients' },
)

/** SHA-256 of the empty text: the secret was not set when it was hashed. */
const emptyDigest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * Parses SERVICE_CLIENTS.
 * @returns the clients, and the faults: the entry's index and rules, no values
 */
export function readServiceClients(list = '[]'): {
  clients: readonly ServiceClient[]
  faults: readonly string[]
} {
  const parsed = parseList(list)
  if (!Value.Check(Entries, parsed)) return { clients: [], faults: [faultOf(parsed)] }
  const faults: string[] = []
  const clients = parsed.map(({ id, secret_sha256: digests, scopes }, at) => {
    const secretSha256 = [digests].flat()
    if (secretSha256.includes(emptyDigest))
      faults.push(`SERVICE_CLIENTS[${at}].secret_sha256 must not be the one of an empty secret`)
    if (parsed.findIndex((other) => other.id === id) < at)
      faults.push(`SERVICE_CLIENTS[${at}].id must not be that of another entry`)
    return { id, secretSha256, scopes }
  })
  return { clients, faults }
}

function faultOf(parsed: unknown): string {
  const [first] = Value.Errors(Entries, parsed)
  const place = first?.path.replace(/\/(\d+)/g, '[$1]').replaceAll('/', '.') ?? ''
  const unknown = first?.type === ValueErrorType.ObjectAdditionalProperties
  // The name of an unknown member may be a secret at the wrong place.
  if (unknown)
    return `SERVICE_CLIENTS${place.replace(/\..*/, '')} must have no other members than id, secret_sha256 and scopes`
  return `SERVICE_CLIENTS${place} must be ${first?.schema['expected']}`
}

function parseList(text: string): unknown {
  try {
    return parseStrictJson(Buffer.from(text))
  } catch {
    return undefined
  }
}
