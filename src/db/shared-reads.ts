import { setImmediate } from 'node:timers/promises'
import type { CompiledQuery, PostgresDriver, QueryResult } from 'kysely'
import { freest, type Pipeline } from './pipeline.ts'
import { Turns } from './turns.ts'

/** Milliseconds that a read waits for earlier ones of its owner: as long as a statement may run. */
const turnTimeoutMs = 2_000

/**
 * Reads on the connections that all requests share. A slow one must not hold up everybody's: those behind it are sent
 * once more on a connection of the pool, and the first answer counts. There the reads of one owner take turns, so
 * that slow reads of one user hold one connection and leave the others to everybody else.
 */
export class SharedReads {
  readonly #pool: PostgresDriver
  readonly #pipelines: readonly Pipeline[]
  readonly #turns = new Turns(turnTimeoutMs)

  constructor(pool: PostgresDriver, pipelines: readonly Pipeline[]) {
    this.#pool = pool
    this.#pipelines = pipelines
  }

  async run<R>(compiled: CompiledQuery): Promise<QueryResult<R>> {
    let pipeline = freest(this.#pipelines)
    // Answers may have arrived that this process had no time to read.
    if (!pipeline) await setImmediate()
    pipeline ??= freest(this.#pipelines)
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

  #runOn<R>(pipeline: Pipeline, compiled: CompiledQuery): Promise<QueryResult<R>> {
    return new Promise((resolve, reject) => {
      let answered = false
      let again: Promise<void> | undefined
      const answer = (result: QueryResult<R>) => {
        answered = true
        resolve(result)
      }
      const runAgain = async () => {
        const owner = ownerIn(compiled)
        await this.#turns.take(owner)
        try {
          if (!answered) answer(await this.#runAlone(compiled))
        } finally {
          this.#turns.give(owner)
        }
      }
      const onHeldUp = () => {
        again = runAgain()
        again.catch(() => {})
      }
      pipeline.query(compiled.sql, compiled.parameters, onHeldUp).then(answer, (error) => {
        if (again) again.catch(() => reject(error))
        else reject(error)
      })
    })
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

/** Whose rows a read is about: reads of a user's data have the owner first in their WHERE. */
function ownerIn({ parameters: [first] }: CompiledQuery): unknown {
  return first
}
