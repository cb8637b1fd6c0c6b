/** SQLSTATE classes and codes that mean "not now" rather than "not so" (PostgreSQL, appendix A). */
const unavailable = /^(08|53|57P|25006|57014|40001|40P01|55P03|26000)/

const networkErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
])

const withoutCode =
  /^(Connection terminated|timeout (exceeded when trying to connect|expired)|Query read timeout|Client .* is not queryable)/

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/** True when a statement broke the unique constraint of that name. */
export function violatesUnique(error: unknown, constraint: string): boolean {
  return codeOf(error) === '23505' && (error as { constraint?: string }).constraint === constraint
}

/** True when a statement named a row of another table that is not there (any more). */
export function violatesForeignKey(error: unknown): boolean {
  return codeOf(error) === '23503'
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
  if (unavailable.test(code) || networkErrors.has(code)) return true
  // FATAL ends the connection: whatever the reason, it was not this statement's.
  if ((error as { severity?: unknown } | null)?.severity === 'FATAL') return true
  // pg has no code for these.
  return error instanceof Error && withoutCode.test(error.message)
}

/** Names and passwords that the server does not know: waiting mends nothing. */
const misconfigured = /^(28|3D)/

/** True when a database that is out of reach at the start is worth waiting for. */
export function isDatabaseAway(error: unknown): boolean {
  return isDatabaseUnavailable(error) && !misconfigured.test(codeOf(error))
}

/** The embedded database does not open, or failed in a way that only a new start mends. */
export class EmbeddedDatabaseFailed extends Error {
  override name = 'EmbeddedDatabaseFailed'
  /** Of a server that is in recovery after a crash. */
  readonly code = '57P02'
}
