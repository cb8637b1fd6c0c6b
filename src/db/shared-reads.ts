import { setImmediate } from 'node:timers/promises'
import type { CompiledQuery, PostgresDriver, QueryResult } from 'kysely'
import { freest, type Pipeline } from './pipeline.ts'
import { Turns } from './turns.ts'

/** As long as a statement may run. */
const turnTimeoutMs = 2_000

/**
 * Reads through the shared pipelines. Those behind a slow one are sent again on a connection of the pool, and the first
 * result counts. There, the reads of one owner take turns, so that slow reads of one user cannot exhaust the pool.
 */
export class SharedReads {
  readonly #pool: PostgresDriver
  readonly #pipelines: readonly Pipeline[]
  readonly #turns = new Turns(turnTimeoutMs)

  constructor(pool: PostgresDriver, pipelines: readonly Pipeline[]) {
    this.#pool = pool
    this.#pipelines = pipelines
  }

  run<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const pipeline = freest(this.#pipelines)
    return pipeline ? this.#runOn(pipeline, compiled) : this.#runInTurn(compiled)
  }

  #runOn<R>(pipeline: Pipeline, compiled: CompiledQuery): Promise<QueryResult<R>> {
    return new Promise((resolve, reject) => {
      let again: Promise<void> | undefined
      let answered = false
      const onHeldUp = () => {
        again = this.#turns.take(ownerIn(compiled)).then(async () => {
          try {
            if (!answered) resolve(await this.#runAlone(compiled))
          } finally {
            this.#turns.give(ownerIn(compiled))
          }
        })
        // The first attempt may still succeed.
        again.catch(() => {})
      }
      pipeline.query(compiled.sql, compiled.parameters, onHeldUp).then(
        (result) => {
          answered = true
          resolve(result)
        },
        (error) => {
          if (again) again.catch(() => reject(error))
          else reject(error)
        },
      )
    })
  }

  async #runInTurn<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    // Results may have arrived that are not read yet.
    await setImmediate()
    let pipeline = freest(this.#pipelines)
    if (pipeline) return this.#runOn(pipeline, compiled)
    const owner = ownerIn(compiled)
    await this.#turns.take(owner)
    try {
      pipeline = freest(this.#pipelines)
      if (!pipeline) return await this.#runAlone(compiled)
    } finally {
      this.#turns.give(owner)
    }
    return this.#runOn(pipeline, compiled)
  }

  async #runAlone<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    const connection = await this.#pool.acquireConnection()
    try {
      return await connection.executeQuery<R>(compiled)
    } finally {
      await this.#pool.releaseConnection(connection as Parameters<PostgresDriver['releaseConnection']>[0])
    }
  }
}

/** Owned reads have the owner as their first parameter. */
function ownerIn({ parameters: [first] }: CompiledQuery): unknown {
  return first
}
