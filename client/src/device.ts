import type { DeviceStorage, KeptDevice, KeptSession } from './storage.ts'

/**
 * Keeps the refresh token of an ended session: no longer valid, it proves that this device has logged in before, so that
 * password guessing by others does not lock the user out here.
 */
export async function keepDevice(storage: DeviceStorage, session: KeptSession | null): Promise<void> {
  const email = session?.user.email
  if (session && email) await storage.set({ email, refresh_token: session.refresh_token })
}

/** The token to send with a login of the same account; never another user's. */
export async function proofFor(
  storage: DeviceStorage,
  session: KeptSession | null,
  email: string,
): Promise<string | undefined> {
  if (isSame(session?.user?.email, email)) return tokenIn(session)
  const device = await storage.get()
  return isSame(device?.email, email) ? tokenIn(device) : undefined
}

function isSame(one: unknown, other: string): boolean {
  return typeof one === 'string' && one.toLowerCase() === other.toLowerCase()
}

/** Untrusted: an invalid value must not make the login fail. */
function tokenIn(kept: { readonly refresh_token?: unknown } | null): string | undefined {
  const token = kept?.refresh_token
  return typeof token === 'string' && /^[\w-]{1,512}$/.test(token) ? token : undefined
}

export function memoryDevice(): DeviceStorage {
  let kept: KeptDevice | null = null
  return {
    get: () => kept,
    set: (device) => {
      kept = device
    },
  }
}
