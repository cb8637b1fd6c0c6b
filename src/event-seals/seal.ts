import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Selectable } from 'kysely'
import type { EventSealsTable, SecurityEventsTable } from '../db/schema.ts'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'

/** A security event, with every column that a seal covers. */
export type SealedRow = Selectable<Omit<SecurityEventsTable, 'seal_id'>>

/** Columns of a {@link SealedRow}. */
export const sealedColumns = [
  'id',
  'at',
  'event',
  'user_id',
  'session_id',
  'key_id',
  'client_id',
  'ip',
] as const satisfies readonly (keyof SealedRow)[]

export type Seal = Selectable<EventSealsTable>

/**
 * What a seal keeps of an event: its id and time (milliseconds since the epoch), which user and kind it is of, and its
 * MAC. Enough to verify the events that are left when the clean-up has deleted others.
 */
export type Entry = readonly [id: number, at: number, kind: string, mac: string]

export function sealKeys(secret: string, previousSecret: string | undefined): DerivedKeys {
  return derivedKeys(secret, previousSecret, 'audit seal')
}

/** Distinguishes users and kinds of events without naming them; the same under every key. */
export function kindOf({ user_id, event }: Pick<SealedRow, 'user_id' | 'event'>): string {
  return createHash('sha256')
    .update(JSON.stringify([user_id, event]))
    .digest('base64url')
    .slice(0, 16)
}

/**
 * HMAC-SHA-256, its first 128 bits, since there is one for each event. Columns that are null are left out, so that one
 * that is added later changes no MAC of before.
 */
export function macOfEvent(row: SealedRow, key: Buffer): string {
  const fields = sealedColumns.flatMap((column) => (row[column] === null ? [] : [[column, row[column]]]))
  return createHmac('sha256', key)
    .update(JSON.stringify(['event', ...fields]))
    .digest('base64url')
    .slice(0, 22)
}

export function entryOf(row: SealedRow, key: Buffer): Entry {
  return [row.id, Date.parse(row.at), kindOf(row), macOfEvent(row, key)]
}

/** Chained: it covers the MAC of the seal before, and so everything before. */
export function macOfSeal(
  { id, at, previous_mac, previous_at, entries }: Omit<Seal, 'mac'>,
  key: Buffer,
): Buffer {
  const previous = previous_mac && Buffer.from(previous_mac).toString('base64url')
  return createHmac('sha256', key)
    .update(JSON.stringify(['seal', id, at, previous, previous_at, entries]))
    .digest()
}

export function isSameMac(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other)
}

/** The text of a seal in the log. */
export function sealText({ id, mac }: Pick<Seal, 'id' | 'mac'>): string {
  return `${id}.${Buffer.from(mac).toString('base64url')}`
}

/** @returns undefined for a text that is not of a seal */
export function parseSealText(text: string): Pick<Seal, 'id' | 'mac'> | undefined {
  const [, id, mac] = /^([1-9]\d{0,14})\.([A-Za-z0-9_-]{43})$/.exec(text) ?? []
  return id && mac ? { id: Number(id), mac: Buffer.from(mac, 'base64url') } : undefined
}
