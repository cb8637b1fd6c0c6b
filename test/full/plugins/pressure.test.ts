import t from 'tap'
import { disconnectedDatabase } from '../../../src/db/disconnected.ts'
import { problemOf, testApp } from '../../helper.ts'

/** Blocks the event loop. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

t.test(
  'while the event loop is delayed, requests get 503 and liveness checks 200; the service recovers',
  async (t) => {
    const app = await testApp(t, { env: { MAX_EVENT_LOOP_DELAY_MS: '100' }, db: disconnectedDatabase() })
    const ask = (url: string) => app.inject(url)
    // The delay is measured once a second.
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
