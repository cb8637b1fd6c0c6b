import type { components } from './schema.ts'

export type User = components['schemas']['User']

/** What is kept of a session. Whoever reads it has the session. */
export interface KeptSession {
  readonly user: User
  readonly token: string
  readonly refresh_token: string
}

type MaybePromise<T> = T | Promise<T>

/** Where the session is kept. Each of the three may answer at once or later. */
export interface SessionStorage {
  get(): MaybePromise<KeptSession | null>
  set(session: KeptSession): MaybePromise<void>
  delete(): MaybePromise<void>
  /** For a storage that other tabs see too: the name of the Web Lock under which only one of them refreshes. */
  readonly lock?: string
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
    get() {
      try {
        return JSON.parse(storage.getItem(key) ?? 'null') as KeptSession | null
      } catch {
        return null
      }
    },
    set: (session) => storage.setItem(key, JSON.stringify(session)),
    delete: () => storage.removeItem(key),
  }
}
