import type { SessionStorage } from './storage.ts'

/** The part of the Web Locks API that is used. */
interface Locks {
  request<T>(name: string, work: () => Promise<T>): Promise<T>
  request<T>(name: string, options: { ifAvailable: true }, work: (lock: unknown) => Promise<T>): Promise<T>
}

/** Work under the lock. @param retries how often to read the storage again for another tab's late write */
type Work<T> = (retries: number) => Promise<T>

export type Mutex = <T>(storage: SessionStorage, work: Work<T>) => Promise<T>

/**
 * A mutex for all clients of a storage; across tabs if storage and browser support it.
 * @param purpose appended to the storage's name of the Web Lock
 */
export function createMutex(purpose = ''): Mutex {
  const queues = new WeakMap<SessionStorage, Promise<unknown>>()
  return function exclusively<T>(storage: SessionStorage, work: Work<T>): Promise<T> {
    const { lock } = storage
    const locks = (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
    const turn = () => (lock !== undefined && locks ? underLock(locks, lock + purpose, work) : work(0))
    const done = (queues.get(storage) ?? Promise.resolve()).then(turn, turn)
    queues.set(storage, done)
    return done
  }
}

async function underLock<T>(locks: Locks, name: string, work: Work<T>): Promise<T> {
  // Even a free lock may have been released by another tab just now.
  const atOnce = await locks.request(name, { ifAvailable: true }, async (lock) =>
    lock ? { result: await work(3) } : undefined,
  )
  return atOnce ? atOnce.result : locks.request(name, () => work(10))
}

/** Until another tab's write to the storage has probably arrived. */
export const lateWrite = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))
