import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { SingleFlight } from '../../../src/tokens/single-flight.ts'

function flight(cooldownMs: number) {
  const starts: number[] = []
  let inFlight = 0
  let peak = 0
  const single = new SingleFlight({
    cooldownMs,
    async run() {
      starts.push(performance.now())
      peak = Math.max(peak, ++inFlight)
      await delay(20)
      inFlight--
    },
  })
  return { single, starts, peak: () => peak }
}

t.test('callers share the run that has not started, never the one in flight', async (t) => {
  const { single, starts, peak } = flight(0)
  const first = single.soon()
  t.equal(single.soon(), first)
  await delay(5)
  t.equal(starts.length, 1)
  const second = single.soon()
  t.not(second, first)
  await Promise.all([first, second, single.soon()])
  t.equal(starts.length, 2)
  t.equal(peak(), 1, 'one at a time')
})

t.test('a cooldown separates two starts of soon(); now() skips it', async (t) => {
  const { single, starts } = flight(100)
  await single.soon()
  t.ok(single.coolingDown)
  await single.now()
  t.ok((starts[1] ?? 0) - (starts[0] ?? 0) < 90)
  await single.soon()
  t.ok((starts[2] ?? 0) - (starts[0] ?? 0) >= 98)
})
