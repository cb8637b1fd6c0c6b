import { decodeCursor as decodeFields, encodeCursor as encodeFields, isIndex } from '../feeds/cursor-text.ts'
import type { Position } from '../feeds/position.ts'

/** Where a reader of the feed continues. Opaque to it, and understood by every instance. */
export interface Cursor {
  /** In the database, for an instance that is not in `logs`. */
  readonly position: Position
  /** Next index in the logs of the instances that have answered lately, newest first. */
  readonly logs: readonly (readonly [id: string, index: number])[]
}

const maxLogs = 8

export function encodeCursor({ position, logs }: Cursor): string {
  return encodeFields(position, logs.slice(0, maxLogs).flat())
}

/** @returns undefined for a text that is no cursor */
export function decodeCursor(text: string): Cursor | undefined {
  const decoded = decodeFields(text)
  const logs = decoded && logsOf(decoded.rest)
  return decoded && logs && { position: decoded.position, logs }
}

function logsOf(values: unknown): Cursor['logs'] | undefined {
  if (!Array.isArray(values) || values.length % 2 > 0 || values.length > 2 * maxLogs) return undefined
  const pairs: [string, number][] = []
  for (let at = 0; at < values.length; at += 2) {
    const [id, index] = [values[at], values[at + 1]]
    if (typeof id !== 'string' || !isIndex(index)) return undefined
    pairs.push([id, index])
  }
  return pairs
}
