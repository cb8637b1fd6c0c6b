import type { components } from './schema.ts'

export type User = components['schemas']['User']

/** The stored session: bearer secrets. */
export interface KeptSession {
  readonly user: User
  readonly token: string
  readonly refresh_token: string
}

type MaybePromise<T> = T | Promise<T>

/** RFC 6750 section 2.1. */
const tokenForm = /^[\w.~+/-]+=*$/

/** Validates an untrusted value of a storage or a response; null if it is not a session. */
export function sessionIn(value: unknown): KeptSession | null {
  if (typeof value !== 'object' || value === null) return null
  const { user, token, refresh_token } = value as Partial<Record<keyof KeptSession, unknown>>
  if (typeof token !== 'string' || !tokenForm.test(token)) return null
  if (typeof refresh_token !== 'string' || refresh_token === '') return null
  if (typeof user !== 'object' || user === null) return null
  const { id } = user as Partial<Record<keyof User, unknown>>
  return typeof id === 'string' && id !== '' ? { user: user as User, token, refresh_token } : null
}

/** The last refresh token of an ended session: no longer valid, it identifies the device at login. */
export interface KeptDevice {
  readonly email: string
  readonly refresh_token: string
}

export interface DeviceStorage {
  get(): MaybePromise<KeptDevice | null>
  set(device: KeptDevice): MaybePromise<void>
}

/** Storage of the session. Its functions may return promises. */
export interface SessionStorage {
  get(): MaybePromise<KeptSession | null>
  set(session: KeptSession): MaybePromise<void>
  delete(): MaybePromise<void>
  /** For a storage shared by tabs: the name of the Web Lock that guards the refresh. */
  readonly lock?: string
  /** Where the device's token is kept after the session. Default: in memory. */
  readonly device?: DeviceStorage
}

/** In memory, until the page or process ends. */
export function memoryStorage(): SessionStorage {
  let kept: KeptSession | null = null
  return {
    get: () => kept,
    set: (session) => {
      kept = session
    },
    delete: () => {
      kept = null
    },
  }
}

/** The part of the Web Storage API that is used. */
interface TextStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/**
 * Keeps the session in `localStorage`, for all tabs and reloads, or in `sessionStorage`. Any script of the page can
 * read it there, so XSS can steal it.
 */
export function webStorage(storage: TextStorage, key = 'latchkey'): SessionStorage {
  return {
    lock: `latchkey:${key}`,
    device: {
      get: () => parsed<KeptDevice>(storage, `${key}:device`),
      set: (device) => storage.setItem(`${key}:device`, JSON.stringify(device)),
    },
    get: () => parsed<KeptSession>(storage, key),
    set: (session) => storage.setItem(key, JSON.stringify(session)),
    delete: () => storage.removeItem(key),
  }
}

/** Deletes an invalid value. */
function parsed<T>(storage: TextStorage, key: string): T | null {
  let text: string | null = null
  try {
    text = storage.getItem(key)
    return JSON.parse(text ?? 'null') as T | null
  } catch {
    if (text !== null) storage.removeItem(key)
    return null
  }
}
