import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
  type QueryResult,
  SelectQueryNode,
  type TransactionSettings,
} from 'kysely'
import type { Pipeline } from './pipeline.ts'

/**
 * PostgreSQL by two ways: a read that can wait for no lock goes through a pipeline, where there is one; everything
 * else, and every transaction, has a connection of the pool to itself.
 */
export class PipeliningDialect extends PostgresDialect {
  readonly #config: PostgresDialectConfig
  readonly #pipelines: readonly Pipeline[]
  readonly #patience: number

  /** @param patience milliseconds to wait for a pipeline's goodbye */
  constructor(config: PostgresDialectConfig, pipelines: readonly Pipeline[], patience: number) {
    super(config)
    this.#config = config
    this.#pipelines = pipelines
    this.#patience = patience
  }

  override createDriver(): Driver {
    return new PipeliningDriver(new PostgresDriver(this.#config), this.#pipelines, this.#patience)
  }
}

/** What the pool's driver makes and takes, of which Kysely's types name only the second. */
type PooledConnection = Parameters<PostgresDriver['rollbackTransaction']>[0]

class PipeliningDriver implements Driver {
  readonly #pool: PostgresDriver
  readonly #pipelines: readonly Pipeline[]
  readonly #patience: number
  #next = 0

  constructor(pool: PostgresDriver, pipelines: readonly Pipeline[], patience: number) {
    this.#pool = pool
    this.#pipelines = pipelines
    this.#patience = patience
  }

  init(): Promise<void> {
    return this.#pool.init()
  }

  async acquireConnection(): Promise<Connection> {
    this.#next = (this.#next + 1) % this.#pipelines.length
    return new Connection(this.#pool, this.#pipelines[this.#next] as Pipeline)
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
    // Each may be waited for as long as the others.
    await Promise.all([
      ...this.#pipelines.map((pipeline) => pipeline.end(this.#patience)),
      this.#pool.destroy(),
    ])
  }
}

/** What Kysely holds as a connection: one of the pool's from the first statement on that needs it. */
class Connection implements DatabaseConnection {
  readonly #pool: PostgresDriver
  readonly #pipeline: Pipeline
  #own: Promise<PooledConnection> | undefined

  constructor(pool: PostgresDriver, pipeline: Pipeline) {
    this.#pool = pool
    this.#pipeline = pipeline
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
    if (!this.#own && waitsForNobody(compiled)) {
      const { rows } = await this.#pipeline.query(compiled.sql, compiled.parameters)
      return { rows }
    }
    const own = await this.own()
    return own.executeQuery<R>(compiled)
  }

  // biome-ignore lint/correctness/useYield: nothing here streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('statements are not streamed')
  }
}

/** A select of rows as they are, without FOR UPDATE and the like and without a statement inside that writes. */
function waitsForNobody({ query }: CompiledQuery): boolean {
  return SelectQueryNode.is(query) && query.from !== undefined && !query.with && !query.endModifiers?.length
}
