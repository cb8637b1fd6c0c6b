import {
  type DialectAdapter,
  type Driver,
  PostgresDialect,
  type PostgresDialectConfig,
  type PostgresDriver,
  type TransactionSettings,
} from 'kysely'
import { Connection, type Lanes } from './lanes.ts'
import { Adapter, PoolingDriver } from './pooling-driver.ts'
import { SharedReads } from './shared-reads.ts'

/**
 * Sends reads that take no lock, and inserts that wait only for the disk, through shared pipelines. Transactions,
 * other statements, and all statements while the pipelines are stalled, each get a connection of the pool.
 */
export class PipeliningDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig
  readonly #lanes: Lanes
  readonly #endTimeoutMs: number

  /** @param endTimeoutMs how long to wait for a pipeline to close cleanly */
  constructor(config: PostgresDialectConfig, lanes: Lanes, endTimeoutMs: number) {
    super(config)
    this.#config = config
    this.#lanes = lanes
    this.#endTimeoutMs = endTimeoutMs
  }

  override createAdapter(): DialectAdapter {
    return new Adapter()
  }

  override createDriver(): Driver {
    return new PipeliningDriver(new PoolingDriver(this.#config), this.#lanes, this.#endTimeoutMs)
  }
}

class PipeliningDriver implements Driver {
  readonly #pool: PostgresDriver
  readonly #lanes: Lanes
  readonly #reads: SharedReads
  readonly #endTimeoutMs: number

  constructor(pool: PostgresDriver, lanes: Lanes, endTimeoutMs: number) {
    this.#pool = pool
    this.#lanes = lanes
    this.#reads = new SharedReads(pool, lanes.reads)
    this.#endTimeoutMs = endTimeoutMs
  }

  init(): Promise<void> {
    return this.#pool.init()
  }

  async acquireConnection(): Promise<Connection> {
    return new Connection(this.#pool, this.#reads, this.#lanes.inserts)
  }

  async beginTransaction(connection: Connection, settings: TransactionSettings): Promise<void> {
    await this.#pool.beginTransaction(await connection.own(), settings)
  }

  async commitTransaction(connection: Connection): Promise<void> {
    await this.#pool.commitTransaction(await connection.own())
  }

  async rollbackTransaction(connection: Connection): Promise<void> {
    await this.#pool.rollbackTransaction(await connection.own())
  }

  async releaseConnection(connection: Connection): Promise<void> {
    await connection.release()
  }

  async destroy(): Promise<void> {
    const pipelines = [...this.#lanes.reads, ...this.#lanes.inserts]
    await Promise.all([
      ...pipelines.map((pipeline) => pipeline.end(this.#endTimeoutMs)),
      this.#pool.destroy(),
    ])
  }
}
