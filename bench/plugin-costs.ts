import { randomUUID } from 'node:crypto'
import { alternate, type Pace, type Spread, spread } from './compare.ts'
import { signToken } from './floor/token.ts'
import { requestText } from './load.ts'
import { pluginServerFile, startServer } from './processes.ts'
import { secret } from './seed.ts'

export const issuer = 'http://latchkey.test'
export const reader = 'user_01kb3v5rs1e2wbhx4hrsz3zj5e'

/** Step by step; bench/plugin-server.ts registers them. */
const steps = [
  'bare Fastify, JSON.stringify',
  'schemas of the request and the answer',
  'connections',
  'request log, to /dev/null',
  'security headers',
  'framing',
  'validation',
  'contract, errors',
  'pressure',
  'not found',
  'auth: HS256 token, revocation, owner',
]

export interface PluginCost {
  readonly name: string
  /** Ratio to bare Fastify. */
  readonly rate: Spread
  readonly cpu: Spread
  /** Microseconds of processor time that it adds to a request, by the medians. */
  readonly adds: number
}

/** What each plugin costs: the same answer from memory with one more plugin at each step, at 32 connections. */
export async function measurePluginCosts(pace: Pace): Promise<PluginCost[]> {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, aud: issuer, sub: reader, sid: `session_${reader.slice(5)}` }
  const token = signToken(secret, { ...claims, jti: randomUUID(), iat: now, exp: now + 900 })
  const text = requestText('GET', `/api/${reader}/tasks?limit=20`, { token })
  const workload = { status: 200, request: () => text }
  const servers = []
  for (const at of steps.keys()) servers.push(await startServer(pluginServerFile, { PLUGINS: String(at) }))
  const sides = servers.map((server) => ({ servers: [server], workload }))
  const samples = await alternate(sides, 32, pace)
  await Promise.all(servers.map((server) => server.stop()))
  const cpu = samples.map((own) => spread(own.map((sample) => sample.cpu)).median)
  const toBare = (own: (typeof samples)[number], figure: 'rate' | 'cpu') =>
    spread(own.map((sample, round) => sample[figure] / (samples[0]?.[round]?.[figure] ?? Number.NaN)))
  return samples.map((own, at) => ({
    name: steps[at] ?? '',
    rate: toBare(own, 'rate'),
    cpu: toBare(own, 'cpu'),
    adds: at === 0 ? 0 : (cpu[at] ?? 0) - (cpu[at - 1] ?? 0),
  }))
}
