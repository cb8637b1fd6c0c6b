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

/** Connections that many requests share, by what may go through them. */
export interface Lanes {
  readonly reads: readonly Pipeline[]
  readonly inserts: readonly Pipeline[]
}

/** Kysely's lock is a session's, which a pooler keeps: src/db/migrate.ts has one that ends with the transaction. */
class Adapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** PostgreSQL by a pool alone. */
export class PoolingDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig
  readonly #begin: string

  /** @param begin begins a transaction, and sets what is to hold until its end, in one message */
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

  /** A rollback fails with its connection, which is discarded; the caller needs the error before it. */
  override async rollbackTransaction(connection: PooledConnection): Promise<void> {
    await super.rollbackTransaction(connection).catch(() => {})
  }
}

/**
 * PostgreSQL by two ways: a read that can wait for no lock, and an insert that waits for nothing but the disk, go
 * through a pipeline; everything else, every transaction, and what comes while the pipelines are held up, has a
 * connection of the pool to itself.
 */
export class PipeliningDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig
  readonly #lanes: Lanes
  readonly #patience: number

  /** @param patience milliseconds to wait for a pipeline's goodbye */
  constructor(config: PostgresDialectConfig, lanes: Lanes, patience: number) {
    super(config)
    this.#config = config
    this.#lanes = lanes
    this.#patience = patience
  }

  override createAdapter(): DialectAdapter {
    return new Adapter()
  }

  override createDriver(): Driver {
    return new PipeliningDriver(new PoolingDriver(this.#config), this.#lanes, this.#patience)
  }
}

/** What the pool's driver makes and takes, of which Kysely's types name only the second. */
type PooledConnection = Parameters<PostgresDriver['rollbackTransaction']>[0]

class PipeliningDriver implements Driver {
  readonly #pool: PostgresDriver
  readonly #lanes: Lanes
  readonly #reads: SharedReads
  readonly #patience: number

  constructor(pool: PostgresDriver, lanes: Lanes, patience: number) {
    this.#pool = pool
    this.#lanes = lanes
    this.#reads = new SharedReads(pool, lanes.reads)
    this.#patience = patience
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
    // Each may be waited for as long as the others.
    await Promise.all([...pipelines.map((pipeline) => pipeline.end(this.#patience)), this.#pool.destroy()])
  }
}

/** What Kysely holds as a connection: one of the pool's from the first statement on that needs it. */
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
 * The lane of a statement that nobody behind it has to wait for long. A select of rows as they are, without FOR UPDATE
 * and the like and without a statement inside that writes, waits for nobody. An insert of new rows waits for the disk,
 * and for another transaction only where that one removes what the rows refer to; one that may conflict waits for
 * whoever it conflicts with.
 */
function laneOf({ query }: CompiledQuery): keyof Lanes | undefined {
  if (SelectQueryNode.is(query)) {
    return query.from !== undefined && !query.with && !query.endModifiers?.length ? 'reads' : undefined
  }
  return InsertQueryNode.is(query) && !query.with && !query.onConflict ? 'inserts' : undefined
}
