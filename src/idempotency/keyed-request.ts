import { createHmac } from 'node:crypto'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'

/** A request with an `Idempotency-Key`, as MACs: neither key nor body can be recovered or guessed. */
export interface KeyedRequest {
  /** Scope of the key. */
  readonly operation: string
  /** The first is the one to store. */
  readonly keyMacs: readonly Buffer[]
  readonly bodyMacs: readonly Buffer[]
}

export type MacKeys = DerivedKeys

export function macKeys(secret: string, previous: string | undefined): MacKeys {
  return derivedKeys(secret, previous, 'idempotency')
}

/** @param body the request body without passwords */
export function keyedRequest(
  { current, previous }: MacKeys,
  { operation, key, body }: { operation: string; key: string; body: unknown },
): KeyedRequest {
  const macs = (text: string) =>
    [current, previous]
      .filter((macKey) => macKey !== undefined)
      .map((macKey) => createHmac('sha256', macKey).update(text).digest())
  return { operation, keyMacs: macs(`key\0${key}`), bodyMacs: macs(`body\0${canonicalJson(body)}`) }
}

/** Whether a stored MAC is of this request's body. */
export function hasBody({ bodyMacs }: KeyedRequest, stored: Uint8Array): boolean {
  return bodyMacs.some((mac) => mac.equals(stored))
}

/** Canonical JSON: independent of the order of fields. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
