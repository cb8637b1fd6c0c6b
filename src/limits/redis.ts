import { Redis, type Result } from 'ioredis'
import type { Budgets } from './budgets.ts'
import type { Count, Counter } from './counters.ts'

declare module 'ioredis' {
  interface RedisCommander<Context> {
    takeCounters(keys: number, ...keysThenBudgets: (string | number)[]): Result<number[], Context>
    giveBackCounters(keys: number, ...names: string[]): Result<unknown, Context>
  }
}

/** All counters of a request in one round trip; a script is atomic. */
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

/** Only existing keys: an expired counter must not be recreated without expiry. */
const giveBack = `
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 1 then redis.call('DECR', key) else redis.call('DEL', key) end
end`

/** Keys read at the start to detect a cluster: the chance that one of two nodes has them all is 2^-32. */
const probes = 32

/** Milliseconds that a request waits for Redis. */
const commandTimeout = 200

/** Counters in Redis. Every method rejects when Redis fails. */
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
      // Reconnects when the connection is silent.
      socketTimeout: 2_000,
      retryStrategy: (times) => Math.min(times * 100, 1_000),
      // Fails fast while disconnected, and never counts twice.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: true,
      // INFO may not be permitted; the first command shows whether Redis is ready.
      enableReadyCheck: false,
      // After a failover, the address may lead to another server.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
    })
    this.#redis.defineCommand('takeCounters', { lua: take })
    this.#redis.defineCommand('giveBackCounters', { lua: giveBack })
    this.#redis.on('error', (error: Error) => {
      this.#fault = error
    })
    // Not on `ready`: after a failed SELECT the connection is ready, on another database.
    this.#redis.on('connect', () => {
      this.#fault = undefined
    })
  }

  /**
   * Resolves when Redis supports every command used here, rejects when the first attempt fails; reconnects until
   * `close`.
   */
  async connect(): Promise<void> {
    if (this.#redis.status === 'wait') {
      await this.#redis.connect().catch((error: unknown) => {
        throw this.#fault ?? error
      })
    }
    await this.take([{ limit: 'everything', key: 'probe' }])
    // Keys of many slots: one node of a cluster has only some of them.
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
        // While disconnected, the connection's error says more.
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
 * With a hash tag around the client or account: in cluster mode, a script may use keys of one slot only.
 */
function nameOf({ limit, key }: Counter): string {
  const [subject, ...rest] = key.split(' ')
  return [limit, `{${subject}}`, ...rest].join(' ')
}
