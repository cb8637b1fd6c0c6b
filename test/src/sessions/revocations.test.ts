import t from 'tap'
import { Problem } from '../../../src/problem.ts'
import { Revocations, staleAfterMs } from '../../../src/sessions/revocations.ts'
import type { Principal } from '../../../src/tokens/owner.ts'

const alice: Principal = {
  sub: 'alice',
  userId: 'alice',
  issuer: undefined,
  sid: undefined,
  issuedAt: 900,
  expiresAt: 2000,
}

function setUp() {
  const time = { now: 1000, monotonic: 0 }
  const revocations = new Revocations(
    () => time.now,
    () => time.monotonic,
  )
  revocations.heard(0)
  const outcome = (user: Partial<Principal>) => {
    try {
      revocations.assertLive({ ...alice, ...user })
      return 'live'
    } catch (error) {
      return error instanceof Problem ? error.code : (error as Error).message
    }
  }
  return { time, revocations, outcome }
}

t.test('a session is revoked until the last of its tokens has expired', async (t) => {
  const { time, revocations, outcome } = setUp()
  revocations.apply([{ session: 's1', endsAt: 1100 }])
  t.equal(outcome({ sid: 's1' }), 'revoked')
  t.equal(outcome({ sid: 's2' }), 'live')
  revocations.sweep()
  t.equal(revocations.size, 1)
  time.now = 1100
  revocations.sweep()
  t.equal(revocations.size, 0, 'removed after that')
})

t.test('a ban refuses every token, and the newest one counts', async (t) => {
  const { time, revocations, outcome } = setUp()
  const ban = { banned: 'alice', until: 1500, revision: 7, endsAt: 1560 }
  revocations.apply([ban])
  const tokens = [{}, { sid: 's1' }, { keyId: 'k1' }, { issuedAt: 1010 }, { issuedAt: undefined }]
  for (const token of tokens) t.equal(outcome(token), 'revoked', JSON.stringify(token))
  t.equal(outcome({ userId: 'bob' }), 'live')

  revocations.apply([{ ...ban, until: 0, revision: 8 }])
  for (const token of tokens) t.equal(outcome(token), 'live', 'lifted')
  revocations.apply([ban])
  t.equal(outcome({}), 'live', 'the older row may come again')

  revocations.apply([{ ...ban, revision: 9 }])
  time.now = 1499
  t.equal(outcome({}), 'revoked')
  time.now = 1500
  t.equal(outcome({}), 'live', 'ends by itself')
  time.now = 1560
  revocations.sweep()
  t.equal(revocations.size, 0)
})

t.test('after another database, any revision replaces a ban', async (t) => {
  const { revocations, outcome } = setUp()
  const ban = { banned: 'alice', until: 1500, revision: 7, endsAt: 1560 }
  revocations.apply([ban])
  revocations.forgetRevisions()
  t.equal(outcome({}), 'revoked', 'until it is known otherwise')
  revocations.apply([{ ...ban, until: 0, revision: 2 }])
  t.equal(outcome({}), 'live')
})

t.test('a clock that jumps ahead and is set back accepts no revoked token', async (t) => {
  const { time, revocations, outcome } = setUp()
  revocations.apply([{ session: 's1', endsAt: 1100 }])
  time.now = 4600
  revocations.sweep()
  time.now = 1050
  t.equal(revocations.checkClock(), true)
  t.equal(outcome({ sid: 's1' }), 'service_unavailable', 'until everything is read again')
  revocations.apply([{ session: 's1', endsAt: 1100 }])
  revocations.heard(0)
  t.equal(outcome({ sid: 's1' }), 'revoked')
  t.equal(outcome({ sid: 's2' }), 'live')
  t.equal(revocations.checkClock(), false)
})

t.test('the revocation of a user covers tokens without a session that are not newer', async (t) => {
  const { revocations, outcome } = setUp()
  revocations.apply([{ user: 'alice', at: 1000, endsAt: 1100 }])
  t.equal(outcome({ issuedAt: 999 }), 'revoked')
  t.equal(outcome({ issuedAt: 1000 }), 'revoked', 'the same second may have been before')
  t.equal(outcome({ issuedAt: undefined }), 'revoked', 'and so may one without iat')
  t.equal(outcome({ issuedAt: 1001 }), 'live')
  t.equal(outcome({ issuedAt: 999, sid: 's1' }), 'live', 'a session is revoked by its id only')
  t.equal(outcome({ issuedAt: 999, userId: 'bob' }), 'live')
  revocations.apply([{ user: 'alice', at: 900, endsAt: 1200 }])
  t.equal(outcome({ issuedAt: 1000 }), 'revoked', 'an older revocation that arrives late changes nothing')
})

t.test('of several revocations in any order, the latest times count', async (t) => {
  const { time, revocations, outcome } = setUp()
  revocations.apply([
    { user: 'alice', at: 1000, endsAt: 1100 },
    { user: 'alice', at: 900, endsAt: 1200 },
    { session: 's1', endsAt: 1200 },
    { session: 's1', endsAt: 1100 },
  ])
  time.now = 1150
  revocations.sweep()
  t.equal(outcome({ issuedAt: 1000 }), 'revoked')
  t.equal(outcome({ sid: 's1' }), 'revoked')
})

t.test('a revocation until now covers the current second, and an issuer whose clock is ahead', async (t) => {
  const { time, revocations, outcome } = setUp()
  const revoke = (asking?: number) =>
    revocations.apply([{ user: 'alice', at: revocations.issuedByNow('a', asking), endsAt: 9999 }])
  t.equal(outcome({ issuer: 'a', issuedAt: 1000.9 }), 'live')
  revoke()
  t.equal(outcome({ issuer: 'a', issuedAt: 1000.9 }), 'revoked', 'a time with a fraction')
  t.equal(outcome({ issuer: 'a', issuedAt: 1002 }), 'live')

  t.equal(outcome({ issuer: 'a', issuedAt: 1025 }), 'live', 'a token shows that the clock is ahead')
  t.equal(revocations.issuedByNow('b'), 1000.999, 'of that issuer only')
  time.now = 1010
  t.equal(outcome({ issuer: 'a', issuedAt: 1030 }), 'live')
  revoke()
  t.equal(outcome({ issuer: 'a', issuedAt: 1034 }), 'revoked', 'issued before, on another device')
  t.equal(outcome({ issuer: 'a', issuedAt: 1037 }), 'live', 'issued afterwards')
  time.now = 9000
  t.equal(revocations.issuedByNow('a'), 9000.999, 'a clock that has been corrected')
  t.equal(revocations.issuedByNow('a', 9020), 9020, 'the token that asks, in any case')
})

t.test('unknown revocations are 503, not 401 (J09)', async (t) => {
  const { time, revocations, outcome } = setUp()
  time.monotonic = staleAfterMs
  t.equal(outcome({ sid: 's2' }), 'live')
  time.monotonic = staleAfterMs + 1
  t.equal(outcome({ sid: 's2' }), 'service_unavailable')
  revocations.heard(time.monotonic)
  t.equal(outcome({ sid: 's2' }), 'live', 'recovers by itself')
  t.equal(new Revocations(() => 0).current, false, 'before the first read')
})
