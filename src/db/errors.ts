/** SQLSTATE classes and codes that mean "not now" rather than "not so" (PostgreSQL, appendix A). */
const unavailable = /^(08|53|57P|25006|57014|40001|40P01|55P03|26000|42P05)/

const networkErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
])

const withoutCode =
  /^(Connection terminated|timeout (exceeded when trying to connect|expired)|Query read timeout|Client .* is not queryable|The server does not support SSL connections|There was an error establishing an SSL connection)/

/** Of a certificate that does not verify, and of a TLS handshake that fails. */
const tlsErrors = /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|EPROTO)/

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/** True when a statement broke the unique constraint of that name. */
export function violatesUnique(error: unknown, constraint: string): boolean {
  return codeOf(error) === '23505' && (error as { constraint?: string }).constraint === constraint
}

/** True when a row references, by its column `user_id`, a user that does not exist (any more). */
export function lacksUserRow(error: unknown): boolean {
  const { constraint = '' } = (error ?? {}) as { constraint?: string }
  return codeOf(error) === '23503' && constraint.endsWith('_user_id_fkey')
}

/**
 * True when the database has undone a transaction because of something else that was going on: a deadlock, a
 * serialization failure, a prepared statement that is none any more.
 */
export function isConflict(error: unknown): boolean {
  return /^(40001|40P01)$/.test(codeOf(error)) || isUnprepared(error)
}

/**
 * True when a prepared statement would give other columns than when it was prepared, or is not there: whoever was to
 * prepare it, sent before on the same connection, could not.
 */
export function isUnprepared(error: unknown): boolean {
  if (codeOf(error) === '26000') return true
  return codeOf(error) === '0A000' && (error as { routine?: unknown }).routine === 'RevalidateCachedQuery'
}

/** True when the database is out of reach, overloaded, read-only or gave up waiting: a retry may succeed. */
export function isDatabaseUnavailable(error: unknown): boolean {
  const code = codeOf(error)
  if (unavailable.test(code) || networkErrors.has(code) || tlsErrors.test(code)) return true
  // The socket of a server on this machine that does not run.
  if (code === 'ENOENT' && (error as NodeJS.ErrnoException).syscall === 'connect') return true
  // FATAL ends the connection: whatever the reason, it was not this statement's.
  if ((error as { severity?: unknown } | null)?.severity === 'FATAL') return true
  // pg has no code for these.
  return error instanceof Error && withoutCode.test(error.message)
}

/** Unknown roles, passwords and databases, and prepared statements behind a transaction pooler: no retry helps. */
const misconfigured = /^(28|3D|42P05)/

/** True when a database that is out of reach at the start is worth waiting for. */
export function isDatabaseAway(error: unknown): boolean {
  return isDatabaseUnavailable(error) && !misconfigured.test(codeOf(error))
}

/** For prepared statements that are missing, already there, or another client's. */
export const needsUnprepared =
  'a pooler gives each transaction another connection: set DATABASE_PREPARE=false'

/** The reason in the log of an error for which {@link isDatabaseUnavailable} holds. */
export function databaseReason(error: unknown): string {
  const code = codeOf(error)
  if ((error as Error | null)?.name === 'MigrationWaited') return (error as Error).message
  if (code === '25006') return 'the database is read-only'
  const isMixedUp = code === '08P01' && /prepared statement|bind message/.test((error as Error).message)
  return isMixedUp || code === '42P05' || code === '26000' ? needsUnprepared : 'database'
}

/** The embedded database does not open, or failed in a way that only a new start mends. */
export class EmbeddedDatabaseFailed extends Error {
  override name = 'EmbeddedDatabaseFailed'
  /** Of a server that is in recovery after a crash. */
  readonly code = '57P02'
}
