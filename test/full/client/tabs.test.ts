import t, { type Test } from 'tap'
import { createLatchkey, type KeptSession, type SessionStorage } from '../../../client/src/index.ts'
import { password } from '../../helper.ts'
import { service } from '../../support/client-service.ts'

/** Tabs of one browser: a write is visible to other tabs after a delay only. */
function tabsThatLag(milliseconds: number, count: number): SessionStorage[] {
  const views: (KeptSession | null)[] = Array.from({ length: count }, () => null)
  return views.map((_, own) => {
    const store = (session: KeptSession | null) => {
      views[own] = session
      setTimeout(() => views.fill(session), milliseconds)
    }
    return { lock: 'latchkey:test', get: () => views[own] ?? null, set: store, delete: () => store(null) }
  })
}

/** The part of the Web Locks API that the client uses, for one name. */
function provideLocks(t: Test): void {
  let held: Promise<unknown> = Promise.resolve()
  let free = true
  async function request(_name: string, ...rest: unknown[]): Promise<unknown> {
    const work = rest.at(-1) as (lock: unknown) => Promise<unknown>
    if (rest.length === 2 && !free) return work(null)
    const before = held
    free = false
    const turn = before.then(() => work({}))
    const released = turn
      .catch(() => {})
      .then(() => {
        if (held === released) free = true
      })
    held = released
    return turn
  }
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator')
  Object.defineProperty(globalThis, 'navigator', { value: { locks: { request } }, configurable: true })
  t.teardown(() => {
    if (before) Object.defineProperty(globalThis, 'navigator', before)
    else Reflect.deleteProperty(globalThis, 'navigator')
  })
}

t.test('tabs refresh once, though writes of one arrive late in the other', async (t) => {
  provideLocks(t)
  const latchkey = await service(t)
  const lag = 30
  const [one, two] = tabsThatLag(lag, 2).map((storage) => createLatchkey({ baseUrl: latchkey.url, storage }))
  if (!one || !two) throw new Error('two tabs')
  const settled = () => new Promise((resolve) => setTimeout(resolve, 2 * lag))
  await one.session.signUp({ email: 'alice@example.com', password, name: 'Alice' })

  await t.test('when both are refused concurrently', async (t) => {
    for (let round = 0; round < 3; round++) {
      await settled()
      latchkey.expireTokens()
      const answers = await Promise.all([one.GET('/api/auth/me'), two.GET('/api/auth/me')])
      t.same(
        answers.map(({ response }) => response.status),
        [200, 200],
      )
      t.equal(latchkey.refreshes(), 1)
    }
  })

  await t.test('when the other is refused right after, with the lock free', async (t) => {
    for (let round = 0; round < 3; round++) {
      await settled()
      latchkey.expireTokens()
      t.equal((await one.GET('/api/auth/me')).response.status, 200)
      t.equal((await two.GET('/api/auth/me')).response.status, 200)
      t.equal(latchkey.refreshes(), 1)
    }
  })
})
