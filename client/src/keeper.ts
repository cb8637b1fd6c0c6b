import { bodyOf, codeOf } from './problem.ts'
import { type KeptSession, type SessionStorage, sessionIn } from './storage.ts'

/** Result of a refresh: a session; a response that leaves the session as it is; or neither: the session has ended. */
interface Renewal {
  readonly session?: KeptSession
  readonly answer?: Response
}

interface Surroundings {
  readonly storage: SessionStorage
  /** Sends a refresh token to the service. */
  readonly exchange: (refreshToken: string) => Promise<Response>
  /** Called when the service has ended a session. */
  readonly onEnded: (session: KeptSession) => Promise<void>
  readonly onSessionEnd: () => void
}

export interface Keeper {
  current(): Promise<KeptSession | null>
  /** Stores the session of a response, if any. */
  keep(answer: unknown): Promise<void>
  forget(): Promise<void>
  /** Replaces a session whose access token was refused; single-flight. */
  renew(refused: KeptSession): Promise<Renewal>
  /** Notifies the app once that the session has ended. */
  end(): void
}

/** Keeps a session in a storage that other clients and tabs may share. */
export function createKeeper({ storage, exchange, onEnded, onSessionEnd }: Surroundings): Keeper {
  let open = false
  /** The refused refresh token, in case the storage fails to delete it. */
  let ended: string | undefined
  /** By the access token that was refused. */
  const renewing = new Map<string, Promise<Renewal>>()

  function usable(value: unknown): KeptSession | null {
    const session = sessionIn(value)
    return session?.refresh_token === ended ? null : session
  }

  async function stored(): Promise<KeptSession | null> {
    return usable(await storage.get())
  }

  async function current(): Promise<KeptSession | null> {
    const value = (await storage.get()) ?? null
    const session = usable(value)
    if (session) open = true
    else if (value !== null) await exclusively(storage, drop)
    return session
  }

  /** Deletes what is stored unless it is a session, perhaps another tab's new one. */
  async function drop(): Promise<void> {
    if (!(await stored())) await deleteStored()
  }

  /** Best effort: a value that remains is not used as a session. */
  async function deleteStored(): Promise<void> {
    try {
      await storage.delete()
    } catch {}
  }

  function end(): void {
    if (!open) return
    open = false
    onSessionEnd()
  }

  async function replace(refused: KeptSession, retries: number): Promise<Renewal> {
    let held = await stored()
    // localStorage is not synchronous between processes: another tab's write may arrive late.
    for (let retry = 0; retry < retries && held?.token === refused.token; retry++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      held = await stored()
    }
    if (!held) return {}
    // Another call or another tab was first.
    if (held.token !== refused.token) return { session: held }
    const answer = await exchange(held.refresh_token)
    if (answer.ok) {
      const session = sessionIn(await bodyOf(answer))
      // A response with the refused token is no refresh.
      if (!session || session.token === refused.token) return { answer }
      // Store first: the old refresh token is accepted only for seconds.
      await storage.set(session)
      return { session }
    }
    if ((await codeOf(answer)) !== 'invalid_grant') return { answer }
    ended = held.refresh_token
    await onEnded(held)
    await deleteStored()
    return {}
  }

  return {
    current,
    end,
    async keep(value) {
      const session = sessionIn(value)
      if (!session) return
      await exclusively(storage, async () => storage.set(session))
      open = true
    },
    async forget() {
      open = false
      await exclusively(storage, async () => storage.delete())
    },
    async renew(refused) {
      const { token, user } = refused
      const shared =
        renewing.get(token) ??
        exclusively(storage, (retries) => replace(refused, retries)).finally(() => renewing.delete(token))
      renewing.set(token, shared)
      const renewal = await shared
      if (!renewal.answer && renewal.session?.user.id !== user.id) end()
      return renewal
    },
  }
}

/** The part of the Web Locks API that is used. */
interface Locks {
  request<T>(name: string, work: () => Promise<T>): Promise<T>
  request<T>(name: string, options: { ifAvailable: true }, work: (lock: unknown) => Promise<T>): Promise<T>
}

/** Work under the lock. @param retries how often to read the storage again for another tab's late write */
type Work<T> = (retries: number) => Promise<T>

const queues = new WeakMap<SessionStorage, Promise<unknown>>()

/** A mutex for all clients of a storage; across tabs if storage and browser support it. */
function exclusively<T>(storage: SessionStorage, work: Work<T>): Promise<T> {
  const { lock } = storage
  const locks = (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
  const turn = () => (lock !== undefined && locks ? underLock(locks, lock, work) : work(0))
  const done = (queues.get(storage) ?? Promise.resolve()).then(turn, turn)
  queues.set(storage, done)
  return done
}

async function underLock<T>(locks: Locks, name: string, work: Work<T>): Promise<T> {
  // Even a free lock may have been released by another tab just now.
  const atOnce = await locks.request(name, { ifAvailable: true }, async (lock) =>
    lock ? { result: await work(3) } : undefined,
  )
  return atOnce ? atOnce.result : locks.request(name, () => work(10))
}
