import type { Keeper } from './keeper.ts'
import { createMutex, lateWrite } from './mutex.ts'
import type { KeptSession, SessionStorage } from './storage.ts'

/** What a call needs of the login (RFC 9470), as far as the service says. */
export interface StepUpNeed {
  /** The user must have authenticated within so many seconds. */
  readonly maxAge?: number
  /** Authentication context class: `aal2` is a login with a second factor. */
  readonly acr?: string
}

export interface StepUp {
  /** How often the app has been asked; to be noted when a call is sent. */
  asked(): number
  /** @returns the session with which to repeat a call; null when its user has not authenticated again */
  login(refused: KeptSession, answer: Response, askedBefore: number): Promise<KeptSession | null>
}

/** Apart from the mutex of refreshes, which `session.reauthenticate` needs meanwhile. */
const exclusively = createMutex(':step-up')

/** Asks the app once for all calls that wait, also in other tabs of the storage. */
export function createStepUp(
  storage: SessionStorage,
  keeper: Keeper,
  onStepUp: (need: StepUpNeed) => Promise<unknown>,
): StepUp {
  let asking: Promise<void> | undefined
  let count = 0

  async function reauthenticated(refused: KeptSession, retries = 0): Promise<KeptSession | null> {
    const held = await keeper.current()
    if (held?.user.id !== refused.user.id) return null
    if (loginOf(held) !== loginOf(refused)) return held
    if (retries === 0) return null
    await lateWrite()
    return reauthenticated(refused, retries - 1)
  }

  async function ask(refused: KeptSession, need: StepUpNeed): Promise<void> {
    await exclusively(storage, async (retries) => {
      // Another tab may have asked while this one waited.
      if (!(await reauthenticated(refused, retries))) await onStepUp(need)
    })
  }

  return {
    asked: () => count,
    async login(refused, answer, askedBefore) {
      const meanwhile = await reauthenticated(refused)
      // A user who has given up while the call was in flight is not asked again for it.
      if (meanwhile || (!asking && askedBefore !== count)) return meanwhile
      asking ??= ask(refused, needOf(answer)).finally(() => {
        asking = undefined
        count++
      })
      await asking
      return reauthenticated(refused)
    },
  }
}

/** When and how the user of a session authenticated; a refresh does not change it. */
function loginOf({ token }: KeptSession): string | undefined {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const { auth_time, acr } = JSON.parse(atob(payload)) as { auth_time?: unknown; acr?: unknown }
    return `${auth_time} ${acr}`
  } catch {
    return undefined
  }
}

function needOf({ headers }: Response): StepUpNeed {
  const challenge = headers.get('www-authenticate') ?? ''
  const [, maxAge] = /\bmax_age="?(\d+)/.exec(challenge) ?? []
  const [, acr] = /\bacr_values="([^" ]+)/.exec(challenge) ?? []
  return {
    ...(maxAge === undefined ? {} : { maxAge: Number(maxAge) }),
    ...(acr === undefined ? {} : { acr }),
  }
}
