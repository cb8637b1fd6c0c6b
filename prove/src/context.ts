import type { Calls } from './calls.ts'
import type { Memory, User } from './memory.ts'
import type { Resolve } from './schema.ts'
import type { Forgery } from './tokens.ts'
import type { World } from './world.ts'
import type { Writer } from './writer.ts'

/** What the proofs of all operations share. */
export interface Context {
  readonly calls: Calls
  readonly world: World
  readonly writer: Writer
  readonly memory: Memory
  readonly A: User
  readonly B: User
  readonly forgeries: readonly Forgery[]
  readonly resolve: Resolve
  readonly ownerParam: string
  /** Lets a DELETE delete what this run has not made. */
  readonly destructive: boolean
}
