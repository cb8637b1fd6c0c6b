import type { Pipeline } from './pipeline.ts'

/** The connections of a pool by state; `waiting`: who waits for one. */
export interface PoolConnections {
  readonly pool: string
  readonly states: Readonly<Partial<Record<'open' | 'busy' | 'idle' | 'waiting', number>>>
}

export type CountConnections = () => readonly PoolConnections[]

interface Pool {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
}

/** The pool of src/db/postgres.ts: of transactions, and of what cannot be pipelined. */
export function ofPool({ totalCount, idleCount, waitingCount }: Pool): PoolConnections {
  const states = { busy: totalCount - idleCount, idle: idleCount, waiting: waitingCount }
  return { pool: 'transactions', states }
}

/** Pipelines, which many requests share, so that none waits for a connection. */
export function ofPipelines(pool: string, pipelines: readonly Pipeline[]): PoolConnections {
  const open = pipelines.filter(({ isOpen }) => isOpen)
  const busy = open.filter(({ waiting }) => waiting > 0).length
  return { pool, states: { busy, idle: open.length - busy } }
}
