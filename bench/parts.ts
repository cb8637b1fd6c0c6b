import type { Test } from '../test/support/postgres.ts'
import { type Side, spread } from './compare.ts'
import { runLoad } from './load.ts'
import { serviceFile, startServer } from './processes.ts'
import { countRoundTrips } from './round-trips.ts'
import type { Figure, Plan, Results } from './suite.ts'
import { sidesOf, startTestbed, type Testbed, type TestbedOptions } from './testbed.ts'

const basics = ['list', 'read', 'create'] as const
const everything = [...basics, 'me', 'refused token'] as const

export type Measure = (where: string, what: string, sides: [Side, Side], connections: number) => Promise<void>

/** A part of the run, with servers of its own. */
export type Part = (bench: Test, plan: Plan, measure: Measure, results: Results) => Promise<void>

const onPostgres: Part = async (bench, { quick, against }, measure, { figures }) => {
  const testbed = await startTestbed(bench, { against })
  const { service, floor, workloads } = testbed
  figures.push(figure('RSS, idle', 'MiB', [service.rss()]))
  const where = 'PostgreSQL, HS256'
  for (const connections of [32, 1, 256])
    for (const what of quick && connections !== 32 ? (['list'] as const) : everything)
      await measure(where, what, sidesOf(testbed, workloads[what]), connections)
  const [ofService, ofFloor] = workloads.refresh
  const refreshing: [Side, Side] = [
    { servers: [service], workload: ofService },
    { servers: [floor], workload: ofFloor },
  ]
  await measure(where, 'refresh', refreshing, 16)
  figures.push(figure('RSS after that load', 'MiB', [service.rss()]))
  if (against) return
  await measure(`${where}: noise, floor to floor`, 'list', await floorToFloor(testbed), 32)
  const hashing: [Side, Side] = [
    { servers: [service], workload: workloads.login },
    { servers: [floor], workload: workloads.argon2 },
  ]
  await measure(`${where}: to raw argon2`, 'login', hashing, 8)
  const flood: [Side, Side] = [
    { servers: [service], workload: workloads.list, beside: { workload: workloads.login, connections: 16 } },
    { servers: [service], workload: workloads.list },
  ]
  await measure(`${where}: to itself without the flood`, 'list beside a login flood', flood, 32)
}

async function floorToFloor({ floor, another, workloads }: Testbed): Promise<[Side, Side]> {
  return [
    { servers: [await another('floor')], workload: workloads.list },
    { servers: [floor], workload: workloads.list },
  ]
}

const twoProcesses: Part = async (bench, { quick, against }, measure) => {
  const testbed = await startTestbed(bench, { against })
  const services = [testbed.service, await testbed.another('service')]
  const floors = [testbed.floor, await testbed.another('floor')]
  for (const what of quick ? (['list'] as const) : basics) {
    const workload = testbed.workloads[what]
    const sides: [Side, Side] = [
      { servers: services, workload },
      { servers: floors, workload },
    ]
    await measure('PostgreSQL, HS256, 2 processes each', what, sides, 32)
  }
}

function other(where: string, options: TestbedOptions): Part {
  return async (bench, { quick, against }, measure) => {
    const testbed = await startTestbed(bench, { ...options, against })
    for (const what of quick ? (['list'] as const) : basics)
      await measure(where, what, sidesOf(testbed, testbed.workloads[what]), 32)
  }
}

/** The service on a large database to the service on a small one. */
function grown(size: { tasks: number; users: number }): Part {
  return async (bench, _plan, measure) => {
    const large = await startTestbed(bench, size)
    const small = await startTestbed(bench)
    const [tasks, users] = [size.tasks, size.users].map((count) => count.toLocaleString('en'))
    for (const what of basics) {
      const sides: [Side, Side] = [
        { servers: [large.service], workload: large.workloads[what] },
        { servers: [small.service], workload: small.workloads[what] },
      ]
      await measure(`service on ${tasks} tasks of ${users} users to service on 1,000 tasks`, what, sides, 32)
    }
  }
}

const limits: Part = async (bench, _plan, measure) => {
  const testbed = await startTestbed(bench)
  const limited = await testbed.another('service', { RATE_LIMITS: 'on', TRUST_PROXY: 'loopback' })
  const unlimited = await testbed.another('service', { TRUST_PROXY: 'loopback' })
  const workload = testbed.workloads.listFromAnywhere
  const sides: [Side, Side] = [
    { servers: [limited], workload },
    { servers: [unlimited], workload },
  ]
  await measure('service with limits to service without', 'list', sides, 32)
}

const metrics: Part = async (bench, _plan, measure) => {
  const testbed = await startTestbed(bench)
  // Nobody scrapes: that is a request a minute or so.
  const metered = await testbed.another('service', { METRICS_PORT: '0' })
  const sides: [Side, Side] = [
    { servers: [metered], workload: testbed.workloads.list },
    { servers: [testbed.service], workload: testbed.workloads.list },
  ]
  await measure('service with METRICS_PORT to service without', 'list', sides, 32)
}

/** A question at the gateway to what it stands for: a request of the service's own. */
const gateway: Part = async (bench, _plan, measure) => {
  for (const algorithm of ['HS256', 'EdDSA'] as const) {
    const { service, workloads } = await startTestbed(bench, { algorithm })
    const to = async (
      what: 'verify' | 'verify, refused token' | 'verify, no token',
      other: 'me' | 'refused token',
    ) => {
      const sides: [Side, Side] = [
        { servers: [service], workload: workloads[what] },
        { servers: [service], workload: workloads[other] },
      ]
      await measure(`${algorithm}, a gateway's question to \`${other}\``, what, sides, 32)
    }
    await to('verify', 'me')
    await to('verify, refused token', 'refused token')
    await to('verify, no token', 'refused token')
  }
}

/** The service with an API key to the service with an access token. */
const keys: Part = async (bench, _plan, measure) => {
  const { service, workloads } = await startTestbed(bench)
  const sides: [Side, Side] = [
    { servers: [service], workload: workloads.listByKey },
    { servers: [service], workload: workloads.list },
  ]
  for (const connections of [32, 1])
    await measure('PostgreSQL, HS256: API key to access token', 'list', sides, connections)
}

const tripRequests = 500

const roundTrips: Part = async (bench, _plan, _measure, { figures }) => {
  const { env, workloads } = await startTestbed(bench)
  const counter = await countRoundTrips(env['DATABASE_URL'] ?? '')
  const service = await startServer(serviceFile, { ...env, DATABASE_URL: counter.url })
  const load = { ports: [service.port], connections: 1 }
  for (const what of everything) {
    await runLoad({ ...load, workload: workloads[what], milliseconds: 300 })
    const before = counter.count()
    const { requests } = await runLoad({ ...load, workload: workloads[what], milliseconds: tripRequests })
    figures.push(
      figure(`round trips to PostgreSQL, ${what}`, 'a request', [(counter.count() - before) / requests]),
    )
  }
  await service.stop()
  counter.stop()
}

const starts: Part = async (bench, { pace }, _measure, { figures }) => {
  for (const embedded of [false, true]) {
    const { env, service } = await startTestbed(bench, { embedded })
    // The data folder is locked by one process.
    await service.stop()
    const times: number[] = []
    const memory: number[] = []
    for (let round = 0; round < pace.rounds; round++) {
      const started = await startServer(serviceFile, env)
      times.push(started.startTime / 1000)
      memory.push(started.rss())
      await started.stop()
    }
    const name = embedded ? 'embedded, warm' : 'PostgreSQL'
    figures.push(figure(`start to ready, ${name}`, 's', times))
    figures.push(figure(`RSS at that moment, ${name}`, 'MiB', memory))
  }
}

function figure(what: string, unit: string, values: readonly number[]): Figure {
  return { what, unit, value: spread(values) }
}

export const parts: Record<string, Part> = {
  postgres: onPostgres,
  eddsa: other('PostgreSQL, EdDSA', { algorithm: 'EdDSA' }),
  embedded: other('embedded, HS256', { embedded: true }),
  processes: twoProcesses,
  keys,
  million: grown({ tasks: 1_000_000, users: 1_000 }),
  limits,
  metrics,
  gateway,
  'round-trips': roundTrips,
  starts,
}

/** Too long for every run: only with --only. */
export const onDemand: Record<string, Part> = {
  scale: grown({ tasks: 10_000_000, users: 1_000_000 }),
}

/** Parts that can compare two builds. */
export const comparable = ['postgres', 'eddsa', 'embedded', 'processes']
