import {
  CompiledQuery,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  InsertQueryNode,
  PostgresAdapter,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
  type QueryResult,
  SelectQueryNode,
  type TransactionSettings,
} from 'kysely'
import { freest, type Pipeline } from './pipeline.ts'
import { SharedReads } from './shared-reads.ts'

/** Pipelines, which many requests share, by the statements that may go through them. */
export interface Lanes {
  readonly reads: readonly Pipeline[]
  readonly inserts: readonly Pipeline[]
}

/** Kysely takes a session lock, which leaks into a pooler; src/db/migrate.ts takes a transaction lock instead. */
class Adapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** PostgreSQL by a pool alone. */
export class PoolingDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig
  readonly #begin: string

  /** @param begin begins a transaction and makes its settings, in one message */
  constructor(config: PostgresDialectConfig, begin: string) {
    super(config)
    this.#config = config
    this.#begin = begin
  }

  override createAdapter(): DialectAdapter {
    return new Adapter()
  }

  override createDriver(): Driver {
    return new PoolingDriver(this.#config, this.#begin)
  }
}

class PoolingDriver extends PostgresDriver {
  readonly #begin: string

  constructor(config: PostgresDialectConfig, begin = 'begin') {
    super(config)
    this.#begin = begin
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(this.#begin))
  }

  /** When the connection is broken, the caller needs the first error, not the rollback's. */
  override async rollbackTransaction(connection: PooledConnection): Promise<void> {
    await super.rollbackTransaction(connection).catch(() => {})
  }
}

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

/** Kysely exports this type only as a parameter. */
type PooledConnection = Parameters<PostgresDriver['rollbackTransaction']>[0]

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

/** Acquires a connection of the pool with the first statement that needs one. */
class Connection implements DatabaseConnection {
  readonly #pool: PostgresDriver
  readonly #reads: SharedReads
  readonly #inserts: readonly Pipeline[]
  #own: Promise<PooledConnection> | undefined

  constructor(pool: PostgresDriver, reads: SharedReads, inserts: readonly Pipeline[]) {
    this.#pool = pool
    this.#reads = reads
    this.#inserts = inserts
  }

  own(): Promise<PooledConnection> {
    this.#own ??= this.#pool.acquireConnection() as Promise<PooledConnection>
    return this.#own
  }

  async release(): Promise<void> {
    const own = await this.#own?.catch(() => undefined)
    if (own) await this.#pool.releaseConnection(own)
  }

  async executeQuery<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const lane = this.#own ? undefined : laneOf(compiled)
    if (lane === 'reads') return this.#reads.run<R>(compiled)
    const pipeline = lane && freest(this.#inserts)
    if (pipeline) {
      const { rows, rowCount } = await pipeline.query(compiled.sql, compiled.parameters)
      return { rows, numAffectedRows: BigInt(rowCount ?? 0) }
    }
    const own = await this.own()
    return own.executeQuery<R>(compiled)
  }

  // biome-ignore lint/correctness/useYield: nothing here streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('statements are not streamed')
  }
}

/**
 * The lane of a statement that cannot block those behind it for long. A plain select, without FOR UPDATE or a writing
 * CTE, takes no row lock. An insert waits for the disk, and for another transaction only if that one deletes the row
 * that a foreign key references; with ON CONFLICT it could wait for any conflicting transaction.
 */
function laneOf({ query }: CompiledQuery): keyof Lanes | undefined {
  if (SelectQueryNode.is(query)) {
    return query.from !== undefined && !query.with && !query.endModifiers?.length ? 'reads' : undefined
  }
  return InsertQueryNode.is(query) && !query.with && !query.onConflict ? 'inserts' : undefined
}
