import type { Db, Trx } from './db/schema.ts'

/** The names are stable: alerts are written against them. */
export type SecurityEventName =
  | 'account_created'
  | 'login'
  | 'login_failed'
  | 'reauthentication_failed'
  | 'refresh_token_reused'
  | 'session_ended'
  | 'tokens_revoked'
  | 'password_changed'
  | 'password_hash_upgraded'
  | 'password_reset'
  | 'email_verified'
  | 'email_changed'
  | 'account_deleted'
  | 'rate_limit_reached'

export interface SecurityEvent {
  readonly event: SecurityEventName
  /** Undefined where no account is concerned, or none that exists. */
  readonly userId?: string | undefined
  readonly sessionId?: string | undefined
  readonly ip?: string | undefined
  /** Of `rate_limit_reached`, and only logged: which one. */
  readonly limit?: string | undefined
}

/** The part of a pino logger that an event needs. */
export interface SecurityLog {
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
}

/** The same log, in which each line names the request that caused it. */
export function naming(requestId: string, log: SecurityLog): SecurityLog {
  return {
    warn: (fields, message) => log.warn({ ...fields, request_id: requestId }, message),
    info: (fields, message) => log.info({ ...fields, request_id: requestId }, message),
  }
}

/** What an operator should look at, rather than only be able to look up. */
const alarming: ReadonlySet<SecurityEventName> = new Set(['refresh_token_reused', 'rate_limit_reached'])

const rowOf = ({ event, userId, sessionId, ip }: SecurityEvent) => ({
  event,
  user_id: userId ?? null,
  session_id: sessionId ?? null,
  ip: ip ?? null,
})

/** Writes events as rows, in the transaction of what they tell of. */
export async function insertEvents(trx: Trx, events: readonly SecurityEvent[]): Promise<void> {
  if (events.length > 0) await trx.insertInto('security_events').values(events.map(rowOf)).execute()
}

/** Writes events as log lines, once what they tell of has happened. */
export function logEvents(log: SecurityLog, events: readonly SecurityEvent[]): void {
  for (const event of events) {
    const fields = { ...rowOf(event), ...(event.limit ? { limit: event.limit } : {}) }
    log[alarming.has(event.event) ? 'warn' : 'info'](fields, 'security event')
  }
}

/** How long a row may come after its log line, in milliseconds. */
const delay = 1_000

/** Of more than that in one delay only the log tells: a flood must fill neither memory nor a table. */
const most = 1_000

/**
 * Events that no transaction carries: a log line at once, and for an account that exists a row a moment later. The
 * answer does not wait for the row, nor does the next one feel it: there is none where there is no account.
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
    if (event.userId === undefined || this.#pending.length >= most) return
    this.#pending.push(event)
    this.#timer ??= setTimeout(() => this.flush(), delay).unref()
  }

  /** Writes the rows that are still to be written; those that cannot be are in the log. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const events = this.#pending
    this.#pending = []
    if (events.length === 0) return
    try {
      await this.#db.transaction().execute((trx) => insertEvents(trx, events))
    } catch (err) {
      this.#log.warn({ err, lost: events.length }, 'security events could not be kept')
    }
  }
}
