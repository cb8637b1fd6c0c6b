import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { post, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'
import { get, password, type RemoteUser, signUpAt, titlesAt, userOf } from '../../support/remote-user.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const settings = { RATE_LIMITS: 'off', MAX_EVENT_LOOP_DELAY_MS: '0' }

/** Everything that the service has acknowledged. */
class Acknowledged {
  readonly titles = new Map<RemoteUser, string[]>()
  /** The last refresh token of each session. */
  readonly refreshTokens = new Map<RemoteUser, string>()
  readonly endedTokens: string[] = []
  /** Number of writes. */
  count = 0

  /** Writes until the service is killed. */
  async fill(url: string): Promise<void> {
    const users = await Promise.all([signUpAt(url), signUpAt(url)])
    const work = users.flatMap((user) => [this.#tasks(url, user), this.#refresh(url, user)])
    // Requests without a response are not counted.
    await Promise.allSettled([...work, this.#logOut(url, users[0])])
  }

  async #tasks(url: string, user: RemoteUser): Promise<void> {
    const titles: string[] = []
    this.titles.set(user, titles)
    for (let at = 0; ; at++) {
      const { status } = await post(`${url}${user.tasks}`, { title: `${at}` }, user.token)
      if (status === 201) titles.push(`${at}`)
      this.count++
    }
  }

  async #refresh(url: string, user: RemoteUser): Promise<void> {
    for (let refresh_token = user.refreshToken; ; ) {
      this.refreshTokens.set(user, refresh_token)
      const { refreshToken } = await userOf(await post(`${url}/api/auth/refresh`, { refresh_token }))
      refresh_token = refreshToken
    }
  }

  async #logOut(url: string, { email }: RemoteUser): Promise<void> {
    for (;;) {
      const { token } = await userOf(await post(`${url}/api/auth/login`, { email, password }))
      const { status } = await post(`${url}/api/auth/logout`, {}, token)
      if (status === 204) this.endedTokens.push(token)
    }
  }

  async assertThere(t: Test, url: string): Promise<void> {
    let lost = 0
    for (const [user, titles] of this.titles) {
      const found = new Set(await titlesAt(url, user))
      lost += titles.filter((title) => !found.has(title)).length
    }
    t.equal(lost, 0, `none of ${[...this.titles.values()].flat().length} tasks is lost`)
    const asked = this.endedTokens.map((token) => get(`${url}/api/auth/me`, { token }))
    t.same(
      [...new Set((await Promise.all(asked)).map(({ status }) => status))],
      [401],
      `${asked.length} logouts are kept`,
    )
  }

  /** To be called within the grace of 10 seconds for a lost response. */
  async assertSessionsContinue(t: Test, url: string): Promise<void> {
    const refreshed = [...this.refreshTokens.values()].map((refresh_token) =>
      post(`${url}/api/auth/refresh`, { refresh_token }),
    )
    this.refreshTokens.clear()
    t.same([...new Set((await Promise.all(refreshed)).map(({ status }) => status))], [200], 'refreshed')
  }
}

/** Starts a service, writes, and kills it at a random moment. */
async function killedWhileWriting(t: Test, env: Record<string, string>, cwd: string, all: Acknowledged) {
  const service = await startService(t, env, cwd)
  const enough = all.count + 10
  const filling = all.fill(service.url).catch(() => {})
  while (all.count < enough || all.endedTokens.length === 0) await delay(10)
  await delay(Math.random() * 200)
  await service.stop('SIGKILL')
  await filling
}

t.test('repeated kill -9 on PostgreSQL loses nothing that was acknowledged', async (t) => {
  const env = await production(t, settings)
  const cwd = t.testdir()
  const survivor = await startService(t, env, cwd)
  const all = new Acknowledged()
  for (let round = 0; round < 8; round++) {
    await Promise.all([killedWhileWriting(t, env, cwd, all), killedWhileWriting(t, env, cwd, all)])
    await all.assertSessionsContinue(t, survivor.url)
  }
  await all.assertThere(t, survivor.url)
})

t.test('repeated kill -9 on the embedded database loses nothing that was acknowledged', async (t) => {
  const cwd = t.testdir()
  seedDataFolder(join(cwd, 'data'))
  const all = new Acknowledged()
  for (let round = 0; round < 4; round++) await killedWhileWriting(t, settings, cwd, all)
  const service = await startService(t, settings, cwd)
  await all.assertThere(t, service.url)
})

t.test('an unhandled rejection is logged once, and the process drains and ends', async (t) => {
  const cwd = t.testdir()
  const fault = join(cwd, 'fault.mjs')
  writeFileSync(fault, `process.on('SIGWINCH', () => Promise.reject(new Error('nobody waits for this')))`)
  const env = await production(t, { ...settings, LOG_LEVEL: 'error', NODE_OPTIONS: `--import=${fault}` })
  const service = await startService(t, env, cwd)
  const user = await signUpAt(service.url)
  const logins = Array.from({ length: 5 }, () =>
    post(`${service.url}/api/auth/login`, { email: user.email, password }),
  )
  await Promise.race(logins)
  const [ended, ...answers] = await Promise.all([service.stop('SIGWINCH'), ...logins])
  t.same(ended, { code: 1, signal: null })
  t.same([...new Set(answers.map(({ status }) => status))], [200], 'requests in flight are answered')
  t.match(service.logged(), [{ level: 60, err: { type: 'Error', message: 'nobody waits for this' } }])
  t.equal(service.logged().length, 1)
})
