import t from 'tap'
import { budgets } from '../../../../src/limits/budgets.ts'
import { MemoryCounters } from '../../../../src/limits/memory.ts'

const { max, timeWindow } = budgets.account

/** Counters on a clock that the test moves. */
function counters(capacity?: number) {
  const time = { now: 5_000_000 }
  const all = new MemoryCounters(budgets, { now: () => time.now, ...(capacity ? { capacity } : {}) })
  const take = (key: string) => {
    const [count] = all.takeNow([{ limit: 'account', key }])
    if (!count) throw new Error('no count')
    return count
  }
  const use = (key: string, times: number) => Array.from({ length: times }, () => take(key))
  return { all, time, take, use }
}

t.test('a budget that is used up is available again after its window', async (t) => {
  const { time, take, use } = counters()
  t.same(
    use('a', max).map(({ refused, used }) => (refused ? 'refused' : used)),
    Array.from({ length: max }, (_, at) => at + 1),
  )
  t.match(take('a'), { refused: true, used: max, resetMs: timeWindow })
  t.match(take('b'), { refused: false, used: 1 }, 'each key has its own')
  time.now += timeWindow - 1
  t.match(take('a'), { refused: true, used: max, resetMs: 1 }, 'refused requests do not extend the window')
  time.now += 1
  t.match(take('a'), { refused: false, used: 1, resetMs: timeWindow })
})

t.test('a window has the same length whenever it begins', async (t) => {
  const { time, take, use } = counters()
  for (const start of [0, 0.1, 0.5, 0.9, 1, 1.5, 2, 7.3]) {
    const key = `from ${start}`
    time.now = 10_000_000 + start * timeWindow
    take('somebody else')
    use(key, max)
    for (const later of [0.3, 0.6, 0.99]) {
      time.now = 10_000_000 + (start + later) * timeWindow
      t.equal(take(key).refused, true, `${later} windows after ${start}`)
      take(`at ${start + later}`)
    }
    time.now = 10_000_000 + (start + 1) * timeWindow
    t.equal(take(key).refused, false, `a window after ${start}`)
  }
})

t.test('a count that is given back can be used again', async (t) => {
  const { all, time, take, use } = counters()
  use('a', max)
  all.giveBack([{ limit: 'account', key: 'a' }])
  t.match(take('a'), { refused: false, used: max })
  t.equal(take('a').refused, true)
  all.giveBack([{ limit: 'account', key: 'nobody' }])
  t.equal(all.size, 1, 'giving back creates no counter')
  time.now += timeWindow
  all.giveBack([{ limit: 'account', key: 'a' }])
  t.match(take('a'), { used: 1 }, 'a later window is not credited')
})

t.test('counts given back leave no counter, so aborted requests cannot fill the table', async (t) => {
  const { all, take } = counters(1_000)
  const count = (key: string) => {
    take(key)
    all.giveBack([{ limit: 'account', key }])
  }
  for (let at = 0; at < 50_000; at++) count(`aborted ${at}`)
  t.equal(all.size, 0)
  for (let at = 0; at < 1_000; at++) take(`wrong ${at}`)
  for (let at = 0; at < 50_000; at++) count(`aborted ${at}`)
  t.ok(all.size < 1_010, 'nor in a full table')
  t.match(take('aborted 1'), { refused: false, used: 1 })
})

t.test('wrong passwords for 20,000 accounts refuse no other account at its first try', async (t) => {
  for (const filled of [0, 50_000]) {
    const { take } = counters()
    for (let at = 0; at < filled + 20_000; at++) take(`made up ${at}`)
    let refused = 0
    for (let at = 0; at < 5_000; at++) if (take(`real ${at}`).refused) refused++
    t.equal(refused, 0, `with ${filled} counters before`)
  }
})

t.test('a window ends with the shared counter’s, unless that has counted less', async (t) => {
  const { all, time, take, use } = counters()
  const align = (used: number, resetMs: number) =>
    all.align({ limit: 'account', key: 'a' }, { used, resetMs })
  use('a', 3)
  align(3, 1_000)
  time.now += 1_000
  t.match(take('a'), { used: 1, resetMs: timeWindow }, 'earlier')

  time.now += (timeWindow * 7) / 8
  align(5, timeWindow)
  for (const left of [0.75, 0.5, 0.25]) {
    time.now += timeWindow / 4
    take(`other ${left}`)
    t.match(take('a'), { resetMs: timeWindow * left }, 'later')
  }
  align(1, 1)
  t.match(take('a'), { used: 5 }, 'a lower shared count does not reset this one')
  all.align({ limit: 'account', key: 'b' }, { used: max, resetMs: 1_000 })
  t.match(take('b'), { used: 1 }, 'shared counts are not copied')
})

t.test('a counter is kept under any number of other keys (H06)', async (t) => {
  const { all, take, use } = counters()
  use('victim', max)
  for (let other = 0; other < 5_001; other++) take(`other ${other}`)
  t.equal(take('victim').refused, true, 'after 5,001')
  for (let other = 5_001; other < 120_000; other++) take(`other ${other}`)
  t.equal(take('victim').refused, true, 'after 120,000')
  t.ok(all.size <= 50_000 + 65_536, 'the number of counters is bounded')

  // In a full table a new key has no counter of its own, but a limit all the same.
  use('late victim', max)
  for (let other = 0; other < 20_000; other++) take(`another ${other}`)
  t.equal(take('late victim').refused, true)
})

t.test('a full table first refuses the network that filled it (H06)', async (t) => {
  const { take, time } = counters(1_000)
  const flood = (count: number, from = 0) => {
    let refused = 0
    for (let at = from; at < from + count; at++) {
      if (take(`2001:db8:${(at >> 8).toString(16)}:${(at & 255).toString(16)}::/64`).refused) refused++
    }
    return refused
  }
  t.equal(flood(1_000), 0)
  t.equal(flood(1_000, 1_000), 1_000 - max, 'from here on its /32 is one client')
  t.equal(take('192.0.2.7').refused, false)
  t.equal(take('2001:db9:1:2::/64').refused, false)

  time.now += timeWindow * 2
  t.equal(flood(1_000, 3_000), 0, 'expired counters free their places')
})

t.test('a network’s counter is kept when the table has room again (H06)', async (t) => {
  const { take, time } = counters(1_000)
  const start = time.now
  const flood = (at: number, count: number) => {
    time.now = start + at * timeWindow
    for (let index = 0; index < count; index++) take(`192.0.${Math.floor(at * 100)}.${index}`)
  }
  flood(0, 1)
  flood(0.5, 900)
  flood(1.1, 90)
  // Full after 9: new keys share the counter of 192.0.0.0/16.
  flood(1.2, 9 + max)
  t.equal(take('192.0.255.1').refused, true)
  time.now = start + 2.1 * timeWindow
  t.equal(take('198.51.100.1').used, 1)
  t.equal(take('192.0.255.2').refused, true, 'though there is room')
  time.now = start + 2.2 * timeWindow
  t.equal(take('192.0.255.2').refused, false)
})
