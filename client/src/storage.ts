import type { components } from './schema.ts'

export type User = components['schemas']['User']

/** What is kept of a session. Whoever reads it has the session. */
export interface KeptSession {
  readonly user: User
  readonly token: string
  readonly refresh_token: string
}

type MaybePromise<T> = T | Promise<T>

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
      get: () => parsed<KeptDevice>(storage.getItem(`${key}:device`)),
      set: (device) => storage.setItem(`${key}:device`, JSON.stringify(device)),
    },
    get: () => parsed<KeptSession>(storage.getItem(key)),
    set: (session) => storage.setItem(key, JSON.stringify(session)),
    delete: () => storage.removeItem(key),
  }
}

function parsed<T>(text: string | null): T | null {
  try {
    return JSON.parse(text ?? 'null') as T | null
  } catch {
    return null
  }
}
