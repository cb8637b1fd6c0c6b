import { createMutex, lateWrite } from './mutex.ts'
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
  /**
   * Replaces a session by the one in the data of an answer, while nothing refreshes: a refresh in flight would store an
   * older refresh token over the new one, and its use later would end the session as stolen.
   */
  swap<A extends { readonly data?: unknown }>(
    session: KeptSession,
    ask: (current: KeptSession) => Promise<A>,
  ): Promise<A>
  /** Notifies the app once that the session has ended. */
  end(): void
}

const exclusively = createMutex()

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
      await lateWrite()
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
    async swap(session, ask) {
      return exclusively(storage, async () => {
        const held = await stored()
        const isSame = held?.user.id === session.user.id
        const answer = await ask(isSame ? held : session)
        const next = sessionIn(answer.data)
        // Never over the session of another user who has logged in meanwhile.
        if (isSame && next) await storage.set(next)
        return answer
      })
    },
  }
}
