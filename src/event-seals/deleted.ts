import type { Db } from '../db/schema.ts'
import type { DerivedKeys } from '../keys/derived-keys.ts'
import { readUnsealed } from './repository.ts'
import { kindOf } from './seal.ts'
import { entriesOf, keyOf, sealPages } from './seal-pages.ts'

interface Missing {
  readonly seal: number
  readonly id: number
  readonly kind: string
}

interface DeletedOptions {
  readonly db: Db
  readonly keys: DerivedKeys
  /** Newest events of a kind that the clean-up keeps of a user. */
  readonly keptOfKind: number
  /** The newest seal that is verified. */
  readonly upTo: number
}

/** Events without a row, and which of them the clean-up has deleted: those with as many newer ones as it keeps. */
export class Deleted {
  readonly #options: DeletedOptions
  readonly #missing: Missing[] = []

  constructor(options: DeletedOptions) {
    this.#options = options
  }

  note(seal: number, id: number, kind: string): void {
    this.#missing.push({ seal, id, kind })
  }

  async check(onMissing: (seal: number, id: number) => void): Promise<void> {
    if (this.#missing.length === 0) return
    const { db, keys, keptOfKind, upTo } = this.#options
    const idsOf = new Map<string, number[]>(this.#missing.map(({ kind }) => [kind, []]))
    for await (const seals of sealPages(db, upTo)) {
      for (const seal of seals) {
        if (!keyOf(seal, keys)) continue
        for (const [id, , kind] of entriesOf(seal)) idsOf.get(kind)?.push(id)
      }
    }
    for (let rows = await readUnsealed(db, 0, 2_000); rows.length > 0; ) {
      for (const row of rows) idsOf.get(kindOf(row))?.push(row.id)
      rows = await readUnsealed(db, rows.at(-1)?.id ?? 0, 2_000)
    }
    for (const ids of idsOf.values()) ids.sort((one, other) => other - one)
    for (const { seal, id, kind } of this.#missing) {
      const oldestKept = idsOf.get(kind)?.[keptOfKind - 1]
      if (oldestKept === undefined || oldestKept <= id) onMissing(seal, id)
    }
  }
}
