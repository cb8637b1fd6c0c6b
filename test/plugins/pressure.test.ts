import t from 'tap'
import { disconnectedDatabase } from '../../src/db/disconnected.ts'
import { problemOf, testApp } from '../helper.ts'

/** Keeps the event loop busy, as a fault would. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

t.test(
  'while the event loop is late, requests get 503 and health checks their answer; it heals',
  async (t) => {
    const app = await testApp(t, { env: { MAX_EVENT_LOOP_DELAY_MS: '100' }, db: disconnectedDatabase() })
    const ask = (url: string) => app.inject(url)
    // The delay is looked at once a second; the loop stays blocked until that has happened.
    const late = async () => {
      for (;;) {
        block(300)
        const answer = await ask('/openapi.yaml')
        if (answer.statusCode !== 200) return answer
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const refused = await late()
    t.match(problemOf(refused), { status: 503, code: 'service_unavailable' })
    t.equal(refused.headers['retry-after'], '1')
    t.equal((await ask('/health/live')).statusCode, 200)

    const healed = async () => {
      for (;;) {
        const answer = await ask('/openapi.yaml')
        if (answer.statusCode === 200) return true
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
    t.ok(await healed())
  },
)
