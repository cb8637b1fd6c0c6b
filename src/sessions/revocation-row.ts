import type { Selectable } from 'kysely'
import type { RevocationsTable } from '../db/schema.ts'
import type { Revocation } from './revocations.ts'

/** A row as statements return it and the trigger announces it. */
type RevocationRow = Pick<
  Selectable<RevocationsTable>,
  'id' | 'session_id' | 'user_id' | 'key_id' | 'created_at' | 'issued_until' | 'ends_at' | 'ban'
>

/** The columns of a row that {@link toRevocation} takes. */
export const revocationColumns = [
  'id',
  'session_id',
  'user_id',
  'key_id',
  'created_at',
  'issued_until',
  'ends_at',
  'ban',
] as const

/** The row as verification keeps it. */
export function toRevocation(row: RevocationRow): Revocation {
  const { id, session_id, user_id, key_id, created_at, issued_until, ends_at, ban } = row
  const endsAt = Math.ceil(seconds(ends_at))
  if (typeof session_id === 'string') return { session: session_id, endsAt }
  if (typeof key_id === 'string') return { key: key_id, endsAt }
  const until = seconds(issued_until ?? created_at)
  if (ban) return { banned: user_id as string, until, revision: id, endsAt }
  return { user: user_id as string, at: until, endsAt }
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
  const row = (value ?? {}) as Record<string, unknown>
  const subjects = [row['session_id'], row['user_id'], row['key_id']].filter((id) => (id ?? null) !== null)
  const times = [row['created_at'], row['issued_until'] ?? row['created_at'], row['ends_at']]
  if (row['ban'] === true && !(typeof row['id'] === 'number' && typeof row['user_id'] === 'string'))
    return false
  return subjects.length === 1 && typeof subjects[0] === 'string' && times.every(isTime)
}

const isTime = (value: unknown) => typeof value === 'string' && !Number.isNaN(Date.parse(value))

const seconds = (time: string) => Date.parse(time) / 1000
