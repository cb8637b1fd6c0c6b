import { Gauge, type Registry } from 'prom-client'
import type { CountConnections } from '../db/connection-counts.ts'

/** What is read at each scrape. */
export interface Readings {
  readonly revocations: () => { readonly size: number; readonly ageSeconds: number }
  readonly hashQueue: () => Readonly<Record<'running' | 'waiting' | 'free', number>>
  readonly connections: CountConnections
  /** Mails by state. */
  readonly outbox: () => Promise<Readonly<Record<string, number>>>
  /** Undefined where the counters are not in Redis. */
  readonly redisUp: () => boolean | undefined
  /** Undefined where there is no key pair yet. */
  readonly signingKeyAge: (() => number | undefined) | undefined
}

/** Milliseconds for the one reading that needs the database: a scrape must not wait for one that is away. */
const readTimeoutMs = 2_000

/** Registers the gauges. One that cannot be read is left out of the scrape. */
export function registerGauges(registry: Registry, readings: Readings): void {
  const registers = [registry]
  new Gauge({
    name: 'latchkey_revocations',
    help: 'Revocations in memory that can still refuse a token',
    registers,
    collect() {
      this.set(readings.revocations().size)
    },
  })
  new Gauge({
    name: 'latchkey_revocations_age_seconds',
    help: 'Since the revocations in memory matched the database; tokens are refused past 10',
    registers,
    collect() {
      this.set(readings.revocations().ageSeconds)
    },
  })
  new Gauge({
    name: 'latchkey_hash_queue',
    help: 'Password hashes: computed now, waiting, and how many more may wait',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, value] of Object.entries(readings.hashQueue())) this.set({ state }, value)
    },
  })
  new Gauge({
    name: 'latchkey_db_connections',
    help: 'Connections to the database by pool, and who waits for one',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const { pool, states } of readings.connections())
        for (const [state, value] of Object.entries(states)) this.set({ pool, state }, value)
    },
  })
  new Gauge({
    name: 'latchkey_mail_outbox',
    help: 'Mails in the outbox by state, of all instances',
    labelNames: ['state'],
    registers,
    async collect() {
      this.reset()
      const counts = await withinTime(readings.outbox())
      for (const [state, value] of Object.entries(counts)) this.set({ state }, value)
    },
  })
  new Gauge({
    name: 'latchkey_redis_up',
    help: 'Whether the instances share their limits in Redis; NaN without REDIS_URL',
    registers,
    collect() {
      const isUp = readings.redisUp()
      this.set(isUp === undefined ? Number.NaN : Number(isUp))
    },
  })
  const { signingKeyAge } = readings
  if (!signingKeyAge) return
  new Gauge({
    name: 'latchkey_signing_key_age_seconds',
    help: 'Since the key that signs began to',
    registers,
    collect() {
      const age = signingKeyAge()
      if (age === undefined) this.remove()
      else this.set(age)
    },
  })
}

async function withinTime(
  counts: Promise<Readonly<Record<string, number>>>,
): Promise<Readonly<Record<string, number>>> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<Record<string, number>>((resolve) => {
    timer = setTimeout(resolve, readTimeoutMs, {})
  })
  return Promise.race([counts.catch(() => ({})), tooLate]).finally(() => clearTimeout(timer))
}
