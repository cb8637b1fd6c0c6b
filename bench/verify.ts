import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/load-config.ts'
import { migrate } from '../src/db/migrate.ts'
import { openDatabase } from '../src/db/open.ts'
import { spread } from './compare.ts'
import type { Figure } from './suite.ts'

/**
 * The cost of authenticating a request in the guard, in microseconds, from raw headers to `request.user`. The cases
 * alternate, so that noise of the machine affects all of them; medians of the rounds.
 * Run: node dist/bench/verify.js
 */
const rounds = 41
const perRound = 500

type Verify = (request: FastifyRequest) => Promise<unknown>

/** @returns a function that measures the microseconds of one verification */
async function caseOf(app: FastifyInstance, verify: Verify): Promise<() => Promise<number>> {
  const { token } = app.issueAccessToken(
    'user_01kb3v5rs1e2wbhx4hrsz3zj5e',
    {
      id: 'session_01kb3v5rs1e2wbhx4hrsz3zj5f',
      authenticated_at: new Date().toISOString(),
      second_factor: false,
    },
    900,
  )
  const request = await new Promise<FastifyRequest>((resolve) => {
    requested = resolve
    app.inject({ url: '/bench', headers: { authorization: `Bearer ${token}` } })
  })
  return async () => {
    const begun = process.hrtime.bigint()
    for (let count = 0; count < perRound; count++) await verify(request)
    return Number(process.hrtime.bigint() - begun) / 1000 / perRound
  }
}

let requested: (request: FastifyRequest) => void = () => {}

async function appUnder(algorithm: string, dataDir: string): Promise<FastifyInstance> {
  const env = { ALGORITHM: algorithm, DATA_DIR: dataDir, RATE_LIMITS: 'off', LOG_LEVEL: 'silent' }
  const config = loadConfig(env, () => 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u')
  const { db } = await openDatabase(config, () => {})
  await migrate(db)
  const app = await buildApp(config, { db })
  app.get('/bench', { config: { access: 'public' } }, async (request) => requested(request))
  await app.ready()
  return app
}

/** Microseconds for each case. */
export async function measureVerification(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-bench-'))
  const shared = await appUnder('HS256', join(folder, 'shared'))
  const pairs = await appUnder('EdDSA', join(folder, 'pairs'))
  const cases = {
    'HS256, cold': await caseOf(shared, (request) => request.jwtVerify()),
    'HS256, repeated': await caseOf(shared, async (request) => request.authenticateToken()),
    'EdDSA, cold': await caseOf(pairs, (request) => request.jwtVerify()),
    'EdDSA, repeated': await caseOf(pairs, async (request) => request.authenticateToken()),
  }
  const values = Object.fromEntries(Object.keys(cases).map((name) => [name, [] as number[]]))
  for (let round = -3; round < rounds; round++) {
    for (const [name, run] of Object.entries(cases)) {
      const microseconds = await run()
      if (round >= 0) values[name]?.push(microseconds)
    }
  }
  await Promise.all([shared.close(), pairs.close()])
  rmSync(folder, { recursive: true })
  return Object.entries(values).map(([name, own]) => ({
    what: `verifying a token, ${name}`,
    unit: 'us',
    value: spread(own),
  }))
}

if (import.meta.filename === process.argv[1]) {
  for (const { what, value } of await measureVerification()) {
    const [median, low, high] = [value.median, value.low, value.high].map((each) => each.toFixed(1))
    console.log(`${what.padEnd(34)} ${median} us  (${low} to ${high})`)
  }
}
