import {
  CompiledQuery,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  PostgresAdapter,
  PostgresDialect,
  type PostgresDialectConfig,
  PostgresDriver,
} from 'kysely'

/** Kysely takes a session lock, which leaks into a pooler; src/db/migrate.ts takes a transaction lock instead. */
export class Adapter extends PostgresAdapter {
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

export class PoolingDriver extends PostgresDriver {
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

/** Kysely exports this type only as a parameter. */
export type PooledConnection = Parameters<PostgresDriver['rollbackTransaction']>[0]
