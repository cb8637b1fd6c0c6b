import { Redis, type Result } from 'ioredis'
import type { Budgets } from './budgets.ts'
import type { Count, Counter } from './counters.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    takeCounters(keys: number, ...keysThenBudgets: (string | number)[]): Result<number[], Context>
    giveBackCounters(keys: number, ...names: string[]): Result<unknown, Context>
  }
}

/** All counters of a request in one round trip; a script runs alone, so no one comes between reading and counting. */
const take = `
local answer = {}
for index, key in ipairs(KEYS) do
  local max, window = tonumber(ARGV[2 * index - 1]), ARGV[2 * index]
  local used = tonumber(redis.call('GET', key) or '0')
  local refused = used >= max and 1 or 0
  if used == 0 then
    redis.call('SET', key, 1, 'PX', window)
    used = 1
  elseif refused == 0 then
    used = redis.call('INCR', key)
  end
  table.insert(answer, refused)
  table.insert(answer, used)
  table.insert(answer, redis.call('PTTL', key))
end
return answer`

/** Only what is still there: a counter whose window is over must not come back without an end. */
const giveBack = `
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 1 then redis.call('DECR', key) else redis.call('DEL', key) end
end`

/** Keys that a start asks for. That one of two nodes had all of them would be by chance of 2^-32. */
const probes = 32

/** A request waits no longer for an answer. */
const commandTimeout = 200

/** Counters in Redis, which several instances share. Every method rejects when Redis does not do its part. */
export class RedisCounters {
  readonly #redis: Redis
  readonly #budgets: Budgets
  #fault: Error | undefined

  constructor(url: string, budgets: Budgets) {
    this.#budgets = budgets
    this.#redis = new Redis(url, {
      keyPrefix: 'latchkey:',
      lazyConnect: true,
      connectTimeout: 1_000,
      commandTimeout,
      // A connection that has gone silent is made anew.
      socketTimeout: 2_000,
      retryStrategy: (times) => Math.min(times * 100, 1_000),
      // Nothing waits for a connection, and nothing is sent twice.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: true,
      // Its INFO may not be permitted, and the first counter shows as much.
      enableReadyCheck: false,
      // After a failover, the address may lead to another server.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    })
    this.#redis.defineCommand('takeCounters', { lua: take })
    this.#redis.defineCommand('giveBackCounters', { lua: giveBack })
    this.#redis.on('error', (error: Error) => {
      this.#fault = error
    })
    // Not at `ready`: a SELECT that failed leaves a connection that is ready, on another database.
    this.#redis.on('connect', () => {
      this.#fault = undefined
    })
  }

  /**
   * Resolves when Redis does all that is asked of it here, rejects when the first try fails; the connection is tried
   * again until `close`.
   */
  async connect(): Promise<void> {
    if (this.#redis.status === 'wait') {
      await this.#redis.connect().catch((error: unknown) => {
        throw this.#fault ?? error
      })
    }
    await this.take([{ limit: 'everything', key: 'probe' }])
    // Keys of many slots: a node of a cluster with several has some of them only.
    await Promise.all(Array.from({ length: probes }, (_, at) => this.#redis.get(`probe {${at}}`)))
  }

  close(): void {
    this.#redis.disconnect()
  }

  async take(counters: readonly Counter[]): Promise<readonly Count[]> {
    if (this.#fault) throw this.#fault
    const allowed = counters.flatMap(({ limit }) => [
      this.#budgets[limit].max,
      this.#budgets[limit].timeWindow,
    ])
    const answer = await this.#redis
      .takeCounters(counters.length, ...counters.map(nameOf), ...allowed)
      .catch((error: unknown) => {
        // Of a connection that is not there, the reason says more.
        throw this.#fault ?? error
      })
    return counters.map((counter, at) => {
      const [refused, used = 0, resetMs = 0] = answer.slice(3 * at)
      return {
        refused: refused === 1,
        used,
        resetMs: Math.max(1, resetMs),
        max: this.#budgets[counter.limit].max,
      }
    })
  }

  async giveBack(counters: readonly Counter[]): Promise<void> {
    await this.#redis.giveBackCounters(counters.length, ...counters.map(nameOf))
  }
}

/**
 * With a hash tag around the client or the account that a request is about: in cluster mode, a script may touch keys of
 * one slot only.
 */
function nameOf({ limit, key }: Counter): string {
  const [subject, ...rest] = key.split(' ')
  return [limit, `{${subject}}`, ...rest].join(' ')
}
