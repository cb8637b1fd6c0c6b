import { channel } from 'node:diagnostics_channel'
import type { Db, Trx } from './db/schema.ts'

/** The names are stable: alerts are written against them. */
export const securityEventNames = [
  'account_created',
  'login',
  'login_failed',
  'reauthentication_failed',
  'refresh_token_reused',
  'session_ended',
  'tokens_revoked',
  'password_changed',
  'password_hash_upgraded',
  'password_reset',
  'email_verified',
  'email_changed',
  'factor_added',
  'factor_removed',
  'second_factor_failed',
  'recovery_code_used',
  'recovery_codes_replaced',
  'account_exported',
  'account_deleted',
  'api_key_created',
  'api_key_ended',
  'rate_limit_reached',
  'user_banned',
  'user_unbanned',
  'user_invited',
  'password_reset_requested',
  'users_read',
  'user_read',
  'security_events_read',
  'admin_call_refused',
] as const

export type SecurityEventName = (typeof securityEventNames)[number]

export interface SecurityEvent {
  readonly event: SecurityEventName
  /** Undefined without an existing account. */
  readonly userId?: string | undefined
  readonly sessionId?: string | undefined
  readonly keyId?: string | undefined
  readonly ip?: string | undefined
  /** The service client whose call it was. */
  readonly clientId?: string | undefined
  /** The limit of `rate_limit_reached`; only logged. */
  readonly limit?: string | undefined
}

/** The part of a pino logger that events need. */
export interface SecurityLog {
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
}

/** Adds the request's id to each line. */
export function naming(requestId: string, log: SecurityLog): SecurityLog {
  return {
    warn: (fields, message) => log.warn({ ...fields, request_id: requestId }, message),
    info: (fields, message) => log.info({ ...fields, request_id: requestId }, message),
  }
}

/** Logged as warnings: an operator should be alerted. */
const alarming: ReadonlySet<SecurityEventName> = new Set(['refresh_token_reused', 'rate_limit_reached'])

const rowOf = ({ event, userId, sessionId, keyId, ip, clientId }: SecurityEvent) => ({
  event,
  user_id: userId ?? null,
  session_id: sessionId ?? null,
  ...(keyId === undefined ? {} : { key_id: keyId }),
  ip: ip ?? null,
  ...(clientId === undefined ? {} : { client_id: clientId }),
})

/** Stores events in the transaction that they report. */
export async function insertEvents(trx: Trx, events: readonly SecurityEvent[]): Promise<void> {
  if (events.length > 0) await trx.insertInto('security_events').values(events.map(rowOf)).execute()
}

/** Publishes the name of each event that this process logs. */
export const securityEventChannel = channel('latchkey.security_event')

/** Only after the commit. */
export function logEvents(log: SecurityLog, events: readonly SecurityEvent[]): void {
  for (const event of events) {
    const fields = { ...rowOf(event), ...(event.limit ? { limit: event.limit } : {}) }
    log[alarming.has(event.event) ? 'warn' : 'info'](fields, 'security event')
    securityEventChannel.publish(event.event)
  }
}

const flushAfterMs = 1_000

/** Past it events are only logged: a flood must fill neither memory nor the table. */
const maxPending = 1_000

/**
 * Events outside a transaction: logged at once, and stored a moment later if an account or a client is known. Responses do not wait
 * for the row: timing must not reveal an account.
 */
export class EventBuffer {
  readonly #db: Db
  readonly #log: SecurityLog
  #pending: SecurityEvent[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(db: Db, log: SecurityLog) {
    this.#db = db
    this.#log = log
  }

  note(event: SecurityEvent, log = this.#log): void {
    logEvents(log, [event])
    if ((event.userId ?? event.clientId) === undefined || this.#pending.length >= maxPending) return
    this.#pending.push(event)
    this.#timer ??= setTimeout(() => this.flush(), flushAfterMs).unref()
  }

  /** Stores the pending events; on failure they are only in the log. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const events = this.#pending
    this.#pending = []
    if (events.length === 0) return
    try {
      await this.#db.transaction().execute((trx) => insertEvents(trx, events))
    } catch (err) {
      this.#log.warn({ err, lost: events.length }, 'security events could not be stored')
    }
  }
}
