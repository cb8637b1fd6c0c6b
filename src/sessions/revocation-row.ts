import type { Selectable } from 'kysely'
import type { RevocationsTable } from '../db/schema.ts'
import type { Revocation } from './revocations.ts'

/** A row as statements return it and the trigger announces it. */
type RevocationRow = Pick<
  Selectable<RevocationsTable>,
  'session_id' | 'user_id' | 'created_at' | 'issued_until' | 'ends_at'
>

/** The columns of a row that {@link toRevocation} takes. */
export const revocationColumns = ['session_id', 'user_id', 'created_at', 'issued_until', 'ends_at'] as const

/** The row as verification keeps it. */
export function toRevocation({
  session_id,
  user_id,
  created_at,
  issued_until,
  ends_at,
}: RevocationRow): Revocation {
  const endsAt = Math.ceil(seconds(ends_at))
  if (session_id !== null) return { session: session_id, endsAt }
  return { user: user_id as string, at: seconds(issued_until ?? created_at), endsAt }
}

/** The NOTIFY channel; a trigger on the table sends each revocation. */
export const revocationChannel = 'latchkey_revocations'

/**
 * Parses a notification.
 * @returns undefined for anything but a row: the trigger's message for many rows, or a message from another role
 */
export function parseAnnouncement(payload: string): Revocation | undefined {
  try {
    const row: unknown = JSON.parse(payload)
    return isRow(row) ? toRevocation(row) : undefined
  } catch {
    return undefined
  }
}

function isRow(value: unknown): value is RevocationRow {
  const { session_id, user_id, created_at, issued_until, ends_at } = (value ?? {}) as Record<string, unknown>
  const hasOneSubject = (session_id === null) !== (user_id === null)
  const isDated = [created_at, issued_until ?? created_at, ends_at].every(isTime)
  return hasOneSubject && typeof (session_id ?? user_id) === 'string' && isDated
}

const isTime = (value: unknown) => typeof value === 'string' && !Number.isNaN(Date.parse(value))

const seconds = (time: string) => Date.parse(time) / 1000
