/** SQLSTATE classes and codes of transient failures (PostgreSQL, appendix A). */
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

/** Of certificates that do not verify, and of failed TLS handshakes. */
const tlsErrors = /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|EPROTO)/

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/**
 * Whether the constraint that a statement violated has such a name. A distributed database reports that of a shard, with
 * the shard's number at its end, and only in the message.
 * @param name a regular expression
 */
function violates(error: unknown, name: string): boolean {
  const { constraint, message = '' } = error as { constraint?: string; message?: string }
  return new RegExp(`(^|\\W)${name}(_\\d+)?(\\W|$)`).test(constraint ?? message)
}

/** True when a statement violated the unique constraint of that name. */
export function violatesUnique(error: unknown, constraint: string): boolean {
  return codeOf(error) === '23505' && violates(error, constraint)
}

/** True when a row references, by its column `user_id`, a user that does not exist (any more). */
export function lacksUserRow(error: unknown): boolean {
  return codeOf(error) === '23503' && violates(error, '\\w+_user_id_fkey')
}

/** True when the database cannot execute such a statement on such a table. */
export function isNotSupported(error: unknown): boolean {
  return codeOf(error) === '0A000' && !isUnprepared(error)
}

/**
 * True when the database rolled a transaction back for a concurrent one: a deadlock, a serialization failure, a
 * prepared statement that a migration has invalidated.
 */
export function isConflict(error: unknown): boolean {
  return /^(40001|40P01)$/.test(codeOf(error)) || isUnprepared(error)
}

/**
 * True when the result type of a prepared statement has changed, or when it does not exist: the pipelined statement
 * that was to prepare it has failed.
 */
export function isUnprepared(error: unknown): boolean {
  if (codeOf(error) === '26000') return true
  return codeOf(error) === '0A000' && (error as { routine?: unknown }).routine === 'RevalidateCachedQuery'
}

/** True when the database is unreachable, overloaded, read-only or timed out: a retry may succeed. */
export function isDatabaseUnavailable(error: unknown): boolean {
  const code = codeOf(error)
  if (unavailable.test(code) || networkErrors.has(code) || tlsErrors.test(code)) return true
  // The Unix socket of a server that is not running.
  if (code === 'ENOENT' && (error as NodeJS.ErrnoException).syscall === 'connect') return true
  // A distributed database whose other server is unreachable (internal_error).
  if (code === 'XX000' && /^failure on connection/.test((error as Error).message)) return true
  // FATAL ends the connection, and is never the statement's fault.
  if ((error as { severity?: unknown } | null)?.severity === 'FATAL') return true
  // Errors of pg without a code.
  return error instanceof Error && withoutCode.test(error.message)
}

/** Unknown roles, passwords and databases, and prepared statements behind a transaction pooler: no retry helps. */
const misconfigured = /^(28|3D|42P05)/

/** True when it is worth waiting at the start for an unreachable database. */
export function isDatabaseAway(error: unknown): boolean {
  return isDatabaseUnavailable(error) && !misconfigured.test(codeOf(error))
}

/** For prepared statements that do not exist, already exist, or are another client's. */
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

/** The embedded database cannot be opened, or has failed until the next start. */
export class EmbeddedDatabaseFailed extends Error {
  override name = 'EmbeddedDatabaseFailed'
  /** SQLSTATE crash_shutdown: a server in crash recovery. */
  readonly code = '57P02'
}
