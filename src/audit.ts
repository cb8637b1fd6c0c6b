import type { Db } from './db/schema.ts'

/** The names are stable: alerts are written against them. */
export type SecurityEventName =
  | 'refresh_token_reused'
  | 'session_ended'
  | 'password_changed'
  | 'account_deleted'

export interface SecurityEvent {
  readonly event: SecurityEventName
  readonly userId: string
  readonly sessionId?: string | undefined
  readonly ip?: string | undefined
}

/** The part of a pino logger that an event needs. */
export interface SecurityLog {
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
}

/** What an operator should look at, rather than only be able to look up. */
const alarming: ReadonlySet<SecurityEventName> = new Set(['refresh_token_reused'])

/** Writes an event as a row, in the transaction of what it tells of, and as a log line. */
export async function recordEvent(db: Db, log: SecurityLog, event: SecurityEvent): Promise<void> {
  const row = {
    event: event.event,
    user_id: event.userId,
    session_id: event.sessionId ?? null,
    ip: event.ip ?? null,
  }
  await db.insertInto('security_events').values(row).execute()
  log[alarming.has(event.event) ? 'warn' : 'info'](row, 'security event')
}
