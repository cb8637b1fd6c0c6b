/**
 * The service against a floor written by hand, on this machine, in one go; writes the tables of docs/performance.md.
 * Needs PostgreSQL: `BENCH_DATABASE_URL`, a role that may create databases.
 *
 * npm run bench -- [--quick] [--only <part>] [--against <another build's src/server.js>] [--rounds <n>]
 *
 * With --only or --against it prints, and leaves the document as it is.
 */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { openPostgres } from '../src/db/postgres.ts'
import { measurePluginCosts } from './plugin-costs.ts'
import { stopAll } from './processes.ts'
import { tables, writeReport } from './report.ts'
import { runSuite } from './suite.ts'
import { postgres } from './testbed.ts'
import { measureVerification } from './verify.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    against: { type: 'string' },
    rounds: { type: 'string' },
  },
})
const { quick, only, rounds } = values
const pace = quick ? { rounds: 7, milliseconds: 200 } : { rounds: 15, milliseconds: 400 }
const plan = {
  quick,
  only,
  against: values.against && resolve(values.against),
  pace: { ...pace, ...(rounds ? { rounds: Number(rounds) } : {}) },
}

async function postgresVersion(): Promise<string> {
  const db = openPostgres({ url: postgres, poolSize: 1, onIdleError: () => {} })
  const { rows } = await sql<{ server_version: string }>`show server_version`.execute(db)
  await db.destroy()
  return rows[0]?.server_version.split(' ')[0] ?? ''
}

const wants = (part: string) => !plan.against && part.startsWith(only ?? '')
try {
  const suite = await runSuite(plan, (line) => console.log(line))
  const pluginCosts = wants('plugins') ? await measurePluginCosts(plan.pace) : []
  if (wants('verify')) suite.figures.push(...(await measureVerification()))
  const report = { ...suite, pluginCosts, postgresVersion: await postgresVersion() }
  if (only || plan.against) console.log(tables(report, plan))
  else writeReport('docs/performance.md', report, plan)
  if (suite.failed.length > 0) process.exitCode = 1
} finally {
  await stopAll()
}
