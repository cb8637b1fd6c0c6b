import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { disconnectedDatabase } from '../../src/db/disconnected.ts'
import { problemOf, testConfig } from '../helper.ts'

t.test('while the database is unreachable, only the liveness check succeeds', async (t) => {
  const away = Object.assign(new Error('away'), { code: 'ECONNREFUSED' })
  const app = await buildApp(testConfig(), {
    db: disconnectedDatabase(),
    prepare: () => Promise.reject(away),
  })
  t.teardown(() => app.close())
  await app.ready()
  for (const url of ['/health/live', '/health/live?', '/health/live?x=1', '/%68ealth/live']) {
    t.equal((await app.inject(url)).statusCode, 200, url)
    t.equal((await app.inject({ method: 'HEAD', url })).statusCode, 200, `HEAD ${url}`)
  }
  for (const url of ['/health/ready', '/openapi.json', '/api/auth/me']) {
    t.match(problemOf(await app.inject(url)), { status: 503, code: 'service_unavailable' }, url)
  }
})
