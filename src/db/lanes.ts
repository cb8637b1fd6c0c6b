import {
  type CompiledQuery,
  type DatabaseConnection,
  InsertQueryNode,
  type PostgresDriver,
  type QueryResult,
  SelectQueryNode,
} from 'kysely'
import { freest, type Pipeline } from './pipeline.ts'
import type { PooledConnection } from './pooling-driver.ts'
import type { SharedReads } from './shared-reads.ts'

/** Pipelines, which many requests share, by the statements that may go through them. */
export interface Lanes {
  readonly reads: readonly Pipeline[]
  readonly inserts: readonly Pipeline[]
}

/** Acquires a connection of the pool with the first statement that needs one. */
export class Connection implements DatabaseConnection {
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
