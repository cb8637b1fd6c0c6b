import type { components } from './schema.ts'

export type User = components['schemas']['User']

/** What is kept of a session. Whoever reads it has the session. */
export interface KeptSession {
  readonly user: User
  readonly token: string
  readonly refresh_token: string
}

type MaybePromise<T> = T | Promise<T>

/** What a header can carry: RFC 6750 section 2.1. */
const tokenForm = /^[\w.~+/-]+=*$/

/**
 * The session in a value that came from a storage or from an answer, where anything may have been written; null when
 * it is none.
 */
export function sessionIn(value: unknown): KeptSession | null {
  if (typeof value !== 'object' || value === null) return null
  const { user, token, refresh_token } = value as Partial<Record<keyof KeptSession, unknown>>
  if (typeof token !== 'string' || !tokenForm.test(token)) return null
  if (typeof refresh_token !== 'string' || refresh_token === '') return null
  if (typeof user !== 'object' || user === null) return null
  const { id } = user as Partial<Record<keyof User, unknown>>
  return typeof id === 'string' && id !== '' ? { user: user as User, token, refresh_token } : null
}

/** The last refresh token of a session that is over. It opens nothing; a login shows by it that the device is known. */
export interface KeptDevice {
  readonly email: string
  readonly refresh_token: string
}

export interface DeviceStorage {
  get(): MaybePromise<KeptDevice | null>
  set(device: KeptDevice): MaybePromise<void>
}

/** Where the session is kept. Each of the three may answer at once or later. */
export interface SessionStorage {
  get(): MaybePromise<KeptSession | null>
  set(session: KeptSession): MaybePromise<void>
  delete(): MaybePromise<void>
  /** For a storage that other tabs see too: the name of the Web Lock under which only one of them refreshes. */
  readonly lock?: string
  /** Where the device is remembered beyond a session; in the memory of the client if not said. */
  readonly device?: DeviceStorage
}

/** Until the page or the process ends, and for nobody else to read. */
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

/** What `localStorage` and `sessionStorage` have. */
interface TextStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/**
 * Keeps the session in `localStorage`, for all tabs and beyond a reload, or in `sessionStorage`. Every script on the
 * page can read it there, an injected one too.
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

/** What cannot be read is deleted. */
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
