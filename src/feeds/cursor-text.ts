import type { Position } from './position.ts'

/** Longest cursor, in characters: a snapshot lists the transactions in flight. */
const maxCursorLength = 7_500

/** The key of a row: its transaction, or where everything is read, its end in seconds. */
const keys = { newer: /^\d{1,18}$/, live: /^\d{1,11}(\.\d{1,9})?$/ }

/** The text of a cursor: a position, and what else the feed keeps in it. Opaque to readers. */
export function encodeCursor({ since, page }: Position, rest: unknown): string {
  const fields = [since ?? null, page ? [page.until, ...page.after] : null, rest]
  return Buffer.from(JSON.stringify(fields)).toString('base64url')
}

/** @returns undefined for a text that is not a cursor; `rest` is not validated */
export function decodeCursor(text: string): { position: Position; rest: unknown } | undefined {
  const fields = text.length <= maxCursorLength ? parse(text) : undefined
  if (!Array.isArray(fields) || fields.length !== 3) return undefined
  const [since, page, rest]: readonly unknown[] = fields
  if (since !== null && !isSnapshot(since)) return undefined
  if (page !== null && !isPage(page, since === null ? 'live' : 'newer')) return undefined
  const position = {
    ...(since === null ? {} : { since }),
    ...(page === null ? {} : { page: { until: page[0], after: [page[1], page[2]] as const } }),
  }
  return { position, rest }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    return undefined
  }
}

/** The text form of pg_snapshot, by the rules of its input function: anything else would be an error of the statement. */
function isSnapshot(value: unknown): value is string {
  const [, min, max, running] = /^(\d{1,19}):(\d{1,19}):((?:\d{1,19},)*\d{1,19})?$/.exec(`${value}`) ?? []
  if (typeof value !== 'string' || min === undefined || max === undefined) return false
  const all = [min, ...(running?.split(',') ?? [])].map(BigInt)
  const [start, end] = [BigInt(min), BigInt(max)]
  if (all.some((xid) => xid < 1n || xid > end) || end > 9_223_372_036_854_775_807n) return false
  return all.every(
    (xid, at) => at === 0 || (xid < end && xid >= start && (at === 1 || xid > (all[at - 1] ?? end))),
  )
}

type Page = readonly [until: string, key: string, id: number]

function isPage(value: unknown, kind: keyof typeof keys): value is Page {
  if (!Array.isArray(value) || value.length !== 3) return false
  const [until, key, id] = value
  return isSnapshot(until) && typeof key === 'string' && keys[kind].test(key) && isIndex(id)
}

/** Whether a value is an index or id: an integer from zero. */
export function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
