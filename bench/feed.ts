/**
 * How long a token lives at a neighbouring service after its session has ended, and what the revocations cost it: the
 * service reads the feed of one instance, the logout is at another. Needs PostgreSQL, as bench/revocation.ts does.
 */
import { setTimeout } from 'node:timers/promises'
import Fastify from 'fastify'
import pg from 'pg'
import { latchkeyAuth } from '../plugins/auth.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'
import { clientSecret, serviceClients } from '../test/support/service-client.ts'
import { serviceFile, startServer, stopAll } from './processes.ts'

const rounds = 200
const entries = 100_000
const database = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
const latchkeyUrl = 'http://latchkey.test'

const credentials = { email: 'bench@example.com', password: 'correct horse battery' }

const cleanUps: (() => unknown)[] = []
const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1)
}

/** A service with one guarded route, which reads the feed at `url`. */
async function neighbour(url: string) {
  const app = Fastify()
  const revocations = { clientId: 'notes', clientSecret, url }
  await app.register(latchkeyAuth, { latchkeyUrl, secret, revocations })
  app.get('/me', { config: { access: 'user' } }, async () => 'ok')
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, address }
}

const post = (url: string, body?: object, token?: string) =>
  fetch(url, {
    method: 'POST',
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

async function latency(one: string, two: string): Promise<void> {
  const { app, address } = await neighbour(two)
  await post(`${one}/api/auth/signup`, { ...credentials, name: 'Bench' })
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const { token } = (await (await post(`${one}/api/auth/login`, credentials)).json()) as { token: string }
    const me = async () => {
      const answer = await fetch(`${address}/me`, { headers: { authorization: `Bearer ${token}` } })
      await answer.arrayBuffer()
      return answer.status
    }
    if ((await me()) !== 200) throw new Error('the token was not good before the logout')
    const { status } = await post(`${one}/api/auth/logout`, undefined, token)
    if (status !== 204) throw new Error(`logout answered ${status}`)
    const begun = performance.now()
    while ((await me()) !== 401);
    samples.push(performance.now() - begun)
  }
  await app.close()
  samples.sort((a, b) => a - b)
  console.log(`from the 204 to the first 401 at a service on the other instance, ${rounds} rounds, in ms:`)
  console.log(`  p50 ${quantile(samples, 0.5)}  p99 ${quantile(samples, 0.99)}  most ${quantile(samples, 1)}`)
  console.log('  (a request to the service is part of each)')
}

async function memory(one: string, url: string): Promise<void> {
  const { token } = (await (await post(`${one}/api/auth/login`, credentials)).json()) as { token: string }
  const warm = await neighbour(url)
  await warm.app.close()
  globalThis.gc?.()
  const before = process.memoryUsage()
  const begun = performance.now()
  const { app } = await neighbour(url)
  const headers = { authorization: `Bearer ${token}` }
  while ((await app.inject({ url: '/me', headers })).statusCode !== 200) await setTimeout(10)
  const seconds = (performance.now() - begun) / 1000
  globalThis.gc?.()
  const after = process.memoryUsage()
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  console.log(
    `${entries} revocations at a service: ${mib(after.heapUsed - before.heapUsed)} MiB of heap, ` +
      `read in ${seconds.toFixed(1)} s`,
  )
  await app.close()
}

try {
  const { url } = await freshDatabase(bench, database)
  const env = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    DATABASE_URL: url,
    SECRET_KEY: secret,
    PUBLIC_URL: latchkeyUrl,
    RATE_LIMITS: 'off',
    ...serviceClients({ notes: ['revocations:read'] }),
  }
  const start = async () => `http://127.0.0.1:${(await startServer(serviceFile, env)).port}`
  const [one, two] = [await start(), await start()]
  await latency(one, two)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`insert into revocations (session_id, ends_at)
    select 'session_' || lpad(n::text, 26, '0'), now() + interval '1 hour' from generate_series(1, ${entries}) n`)
  await client.end()
  await memory(one, two)
} finally {
  await stopAll()
  for (const cleanUp of cleanUps) await cleanUp()
}
