import { isDatabaseAway } from './errors.ts'

/** Variables that contain a URL of the database. */
export type UrlVariable = 'DATABASE_URL' | 'LISTEN_DATABASE_URL' | 'MIGRATE_DATABASE_URL'

/** A refusal that no retry changes. The message is one line for the operator; {@link named} prefixes the variable. */
export class DatabaseRefused extends Error {
  override name = 'DatabaseRefused'
}

/**
 * Runs work that connects by the URL of a variable.
 * @throws DatabaseRefused when the operator has to change something; other errors unchanged
 */
export async function named<T>(variable: UrlVariable, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const reason = error instanceof DatabaseRefused ? error.message : refusal(error)
    // For commands, which do not retry.
    if (reason === undefined && isDatabaseAway(error)) throw Object.assign(error as Error, { variable })
    if (reason === undefined) throw error
    throw new DatabaseRefused(`${variable}: ${reason}`, { cause: error })
  }
}

const unknownCa =
  "the server's certificate is not signed by a CA that is known here: add &sslrootcert=<file>, or set NODE_EXTRA_CA_CERTS"

/** Node's error codes of certificates. */
const certificates: Record<string, string> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownCa,
  SELF_SIGNED_CERT_IN_CHAIN: unknownCa,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownCa,
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name than the URL's",
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet; compare the clocks",
}

/** By message, for errors without a specific code. */
const messages: readonly (readonly [RegExp, string])[] = [
  [
    /^The server does not support SSL connections/,
    'the server does not speak TLS, which the URL asks for (sslmode)',
  ],
  [/^SASL: .*password must be a/, 'the server asks for a password, and the URL has none'],
  [
    /unsupported startup parameter( in options)?: (options|search_path)/,
    'the pooler refuses the parameter options: set search_path on the role (alter role ... set search_path = ...)',
  ],
  [/invalid response|Unexpected message/, 'what answers there is not PostgreSQL'],
]

/** SQLSTATEs of refused connections; poolers have one code for all refusals. */
const refusedByServer = /^(28|3D|42|22|0A)/
const refusedByPooler =
  /no such (user|database)|password authentication failed|auth(entication)? (query )?failed|does not exist|not allowed|(SSL|TLS) required|unsupported startup parameter/i

/** @returns why a connection was refused; undefined if a retry may succeed */
function refusal(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code = '', message, severity } = error as Error & { code?: string; severity?: string }
  const known = Object.hasOwn(certificates, code) ? certificates[code] : undefined
  const said = known ?? messages.find(([pattern]) => pattern.test(message))?.[1]
  if (said !== undefined) return said
  if (severity === 'FATAL') {
    const isRefused = refusedByServer.test(code) || (code === '08P01' && refusedByPooler.test(message))
    return isRefused ? oneLine(message) : undefined
  }
  if (/^(CERT_|CRL_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO|ERR_SOCKET_BAD_PORT|EACCES)/.test(code))
    return oneLine(message)
  return /^SASL: /.test(message) && !isDatabaseAway(error) ? oneLine(message) : undefined
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim()

export const noSchema = 'search_path leads to no schema that the role may use'

export function wrongEncoding(encoding: string): string {
  return `the database's encoding (server_encoding) is ${encoding} and must be UTF8: create it with encoding 'UTF8' template template0`
}
