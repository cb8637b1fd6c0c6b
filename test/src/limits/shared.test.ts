import { setImmediate, setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { budgets as defaults } from '../../../src/limits/budgets.ts'
import type { Counter } from '../../../src/limits/counters.ts'
import { MemoryCounters } from '../../../src/limits/memory.ts'
import { type RemoteCounters, SharedCounters } from '../../../src/limits/shared.ts'

/** A quarter of `verify` is less than one. */
const budgets = { ...defaults, verify: { max: 3, timeWindow: 60_000 } }

const { max } = budgets.login
const share = Math.floor(max / 4)

/** Redis as the instances see it. */
class Remote implements RemoteCounters {
  counters = new MemoryCounters(budgets)
  broken = false
  reason = 'no answer'
  asked = 0
  given = 0

  async connect() {
    if (this.broken) throw new Error(this.reason === 'no answer' ? 'no connection' : this.reason)
  }
  close() {}
  async take(wanted: readonly Counter[]) {
    this.asked++
    await setImmediate()
    if (this.broken) throw new Error(this.reason)
    return this.counters.takeNow(wanted)
  }
  async giveBack(wanted: readonly Counter[]) {
    this.given++
    if (this.broken) throw new Error('no answer')
    this.counters.giveBack(wanted)
  }
}

function instanceOn(t: Test, remote: Remote, more: { remindMs?: number } = {}) {
  const reports: string[] = []
  const counters = new SharedCounters({
    remote,
    budgets,
    onAway: (error) => reports.push((error as Error).message),
    onRefused: ({ message }) => reports.push(message),
    onBack: () => reports.push('back'),
    retryMs: 1,
    ...more,
  })
  t.teardown(() => counters.stop())
  const take = async (key: string, limit: Counter['limit'] = 'login') => {
    const [count] = await counters.take([{ limit, key }])
    if (!count) throw new Error('no count')
    return count
  }
  /** How many of `count` concurrent requests pass. */
  const passed = async (key: string, count: number) =>
    (await Promise.all(Array.from({ length: count }, () => take(key)))).filter(({ refused }) => !refused)
      .length
  return { counters, take, passed, reports }
}

t.test('instances share one budget (H07)', async (t) => {
  const remote = new Remote()
  const [one, two] = [instanceOn(t, remote), instanceOn(t, remote)]
  const counts = await Promise.all([one.passed('a', max), two.passed('a', max)])
  t.equal(counts[0] + counts[1], max)
  t.match(await one.take('a'), { refused: true, used: max })
  t.match(await two.take('a'), { refused: true, used: max })
  t.match(await two.take('b'), { refused: false, used: 1 })
})

t.test('an instance refuses a flood without asking Redis again', async (t) => {
  const remote = new Remote()
  const { passed } = instanceOn(t, remote)
  t.equal(await passed('a', 500), max)
  t.equal(remote.asked, max)
})

t.test('while Redis is unreachable, a stricter local limit applies (J09)', async (t) => {
  const remote = new Remote()
  const { take, passed, reports } = instanceOn(t, remote)
  await passed('seen before', 5)
  remote.broken = true
  t.equal(await passed('new', 100), share)
  t.equal(await passed('seen before', 100), share - 5, 'earlier counts are kept')
  t.equal((await take('small', 'verify')).refused, false, 'at least one of anything')
  t.equal((await take('small', 'verify')).refused, true)
  t.same(reports, ['no answer'], 'reported once')

  const asked = remote.asked
  const tries = await passed('while away', 50)
  t.equal(tries, share)
  t.equal(remote.asked, asked, 'no request waits for an unreachable Redis')

  remote.broken = false
  while (reports.length < 2) await setTimeout(1)
  t.same(reports, ['no answer', 'back'])
  t.equal(await passed('new', 100), max - share, 'the whole budget again')
  remote.broken = true
  await take('once more')
  t.same(reports, ['no answer', 'back', 'no answer'], 'each outage is reported')
})

t.test('Redis losing its counters resets no count of this instance (J09)', async (t) => {
  const remote = new Remote()
  const { passed } = instanceOn(t, remote)
  t.equal(await passed('a', 20), 20)
  remote.counters = new MemoryCounters(budgets)
  t.equal(await passed('a', 100), max - 20)
  t.equal(await passed('a', 100), 0)
})

t.test('a start without Redis is an outage like any other', async (t) => {
  const remote = new Remote()
  remote.broken = true
  const { counters, passed, reports } = instanceOn(t, remote)
  await counters.start()
  t.same(reports, ['no connection'])
  t.equal(await passed('a', 100), share)
})

t.test('a start that Redis refuses fails, since a retry cannot fix it', async (t) => {
  const remote = new Remote()
  remote.broken = true
  remote.reason = 'WRONGPASS invalid username-password pair or user is disabled.'
  const { counters, reports } = instanceOn(t, remote)
  await t.rejects(counters.start(), { name: 'RedisRefusal', message: /^REDIS_URL: .*password \(WRONGPASS/ })
  t.same(reports, [])
})

t.test('a refusal of a running service is logged, and again while it lasts', async (t) => {
  const remote = new Remote()
  const { counters, passed, reports } = instanceOn(t, remote, { remindMs: 20 })
  await counters.start()
  remote.broken = true
  t.equal(await passed('a', max), share)
  t.same(reports, ['no answer'])
  t.equal(counters.away, true)
  remote.reason = 'NOAUTH Authentication required.'
  while (reports.length < 3) await setTimeout(1)
  t.match(reports, [
    'no answer',
    /^REDIS_URL: Redis asks for a password/,
    /^REDIS_URL: Redis asks for a password/,
  ])
  remote.broken = false
  while (reports.at(-1) !== 'back') await setTimeout(1)
  t.equal(counters.away, false)
})

t.test('while Redis is unreachable, responses state the local limit', async (t) => {
  const remote = new Remote()
  const { take } = instanceOn(t, remote)
  t.match(await take('a'), { max, used: 1 })
  remote.broken = true
  t.match(await take('a'), { max: share, used: 2 })
  t.match(await take('b', 'verify'), { max: 1, used: 1, refused: false })
  t.match(await take('b', 'verify'), { max: 1, refused: true })
})

t.test('a count that is given back is available to all instances', async (t) => {
  const remote = new Remote()
  const [one, two] = [instanceOn(t, remote), instanceOn(t, remote)]
  const account: Counter = { limit: 'account', key: 'a' }
  for (let at = 0; at < budgets.account.max; at++) await one.take('a', 'account')
  t.equal((await two.take('a', 'account')).refused, true)
  one.counters.giveBack([account, account])
  t.equal((await two.take('a', 'account')).refused, false)
  t.equal((await one.take('a', 'account')).refused, false)
  t.equal((await one.take('a', 'account')).refused, true)

  const given = remote.given
  one.counters.giveBack([])
  t.equal(remote.given, given, 'an empty list sends no command')

  remote.broken = true
  one.counters.giveBack([account])
  await setImmediate()
  t.same(one.reports, ['no answer'], 'a failure is only logged')
})

t.test('several counters are taken in one command, each with its own result', async (t) => {
  const remote = new Remote()
  const [one, two] = [instanceOn(t, remote), instanceOn(t, remote)]
  for (let at = 0; at < budgets.account.max; at++) await one.take('a', 'account')
  remote.asked = 0
  const both: Counter[] = [
    { limit: 'account', key: 'a' },
    { limit: 'pair', key: 'a b' },
  ]
  for (const { counters } of [one, two]) {
    t.match(await counters.take(both), [{ refused: true }, { refused: false }])
  }
  t.equal(remote.asked, 2)
  t.equal((await remote.counters.take([both[1] as Counter]))[0]?.used, 3)
})
