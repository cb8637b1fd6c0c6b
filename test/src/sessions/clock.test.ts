import t from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { twoUsers } from '../../helper.ts'

t.test('a wrong clock ends no session for good, and revives no ended one', async (t) => {
  let off = 0
  const { app, alice, bob } = await twoUsers(t, { clock: () => systemClock() + off })
  await bob.call('POST', '/api/auth/logout')
  const me = async (user: typeof alice) => (await user.call('GET', '/api/auth/me')).statusCode
  const steps = { 0: 200, 25: 200, [-25]: 200, [-300]: 401, 300: 200, 3600: 401, [-3600]: 401 }
  for (const [seconds, expected] of Object.entries(steps)) {
    off = Number(seconds)
    t.equal(await me(alice), expected, `${seconds} s`)
    t.equal(await me(bob), 401, `${seconds} s, of a session that has ended`)
  }
  // Sessions expire by the database's clock.
  const refresh = (refresh_token: string) =>
    app.inject({ method: 'POST', url: '/api/auth/refresh', payload: { refresh_token } })
  const refreshed = await refresh(alice.refreshToken)
  t.equal(refreshed.statusCode, 200)
  t.equal((await refresh(bob.refreshToken)).statusCode, 401)
  off = 0
  t.equal(await me(alice), 200)
})
