import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { ownPostgres } from '../../support/own-postgres.ts'
import { post, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'
import { get, type RemoteUser, signUpAt, titlesAt } from '../../support/remote-user.ts'

const statusOf = async (url: string) => (await fetch(url)).status

/** @returns how long it took, in seconds */
async function untilReadyIs(status: number, url: string, maxSeconds: number): Promise<number> {
  const begun = performance.now()
  for (;;) {
    const seconds = (performance.now() - begun) / 1000
    if ((await statusOf(`${url}/health/ready`)) === status) return seconds
    if (seconds > maxSeconds) throw new Error(`/health/ready is not ${status} within ${maxSeconds} s`)
    await delay(20)
  }
}

const untilReady = (url: string, maxSeconds: number) => untilReadyIs(200, url, maxSeconds)
const untilNotReady = (url: string, maxSeconds: number) => untilReadyIs(503, url, maxSeconds)

t.test('a database that starts late and is killed under load loses no write (J02)', async (t) => {
  const database = await ownPostgres(t)
  const env = await production(t, { DATABASE_URL: database.url, RATE_LIMITS: 'off' })
  const { url } = await startService(t, env, t.testdir())
  t.equal(await statusOf(`${url}/health/live`), 200, 'alive without a database')
  t.equal(await statusOf(`${url}/health/ready`), 503)

  database.start()
  t.ok((await untilReady(url, 20)) < 10, 'ready soon after the database')
  const user = await signUpAt(url)

  const acknowledged: string[] = []
  const others: Response[] = []
  let writing = true
  async function write(worker: number, { tasks, token }: RemoteUser): Promise<void> {
    for (let at = 0; writing; at++) {
      const title = `${worker}-${at}`
      const answer = await post(`${url}${tasks}`, { title }, token)
      if (answer.status === 201) acknowledged.push(title)
      else others.push(answer)
      if (answer.status !== 201) await delay(50)
    }
  }
  const writers = [1, 2, 3, 4].map((worker) => write(worker, user))
  for (let round = 1; round <= 2; round++) {
    const enough = acknowledged.length + 20
    while (acknowledged.length < enough) await delay(10)
    await database.kill()
    const refused = others.length
    while (others.length < refused + 8) await delay(10)
    await untilNotReady(url, 30)
    t.equal((await fetch(`${url}${user.tasks}`)).status, 401, 'tokens are still verified')
    // It cannot be started until its last backend has exited.
    for (let started = false; !started; ) {
      database.start()
      started = await untilReady(url, 3).then(
        () => true,
        () => false,
      )
    }
  }
  const enough = acknowledged.length + 20
  while (acknowledged.length < enough) await delay(10)
  writing = false
  await Promise.all(writers)

  t.same([...new Set(others.map(({ status }) => status))], [503], 'only 503 during the outage (J02)')
  t.ok(
    others.every(({ headers }) => Number(headers.get('retry-after')) > 0),
    'each with a Retry-After in seconds',
  )
  const found = new Set(await titlesAt(url, user))
  t.same(
    acknowledged.filter((title) => !found.has(title)),
    [],
    `none of ${acknowledged.length} acknowledged tasks is lost`,
  )
  t.equal((await get(`${url}/api/auth/me`, user)).status, 200)
})
