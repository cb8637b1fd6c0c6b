import type { Db } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { DerivedKeys } from '../keys/derived-keys.ts'
import { hasUnsealed, insertSeal, lockSeals, lockUnsealed, readLastSeal } from './repository.ts'
import { entryOf, macOfSeal, sealText } from './seal.ts'

/** Events of one seal. */
const maxEvents = 1_000

export interface MadeSeal {
  /** As `audit verify --last` takes it. */
  readonly seal: string
  readonly events: number
}

/**
 * Seals the events that no seal covers, in whichever order their transactions committed. One process at a time, so that
 * the chain does not fork.
 */
export async function sealEvents(db: Db, { current: key }: DerivedKeys): Promise<MadeSeal[]> {
  const made: MadeSeal[] = []
  if (!(await hasUnsealed(db))) return made
  for (;;) {
    const seal = await sealNext(db, key)
    if (seal) made.push(seal)
    if (!seal || seal.events < maxEvents) return made
  }
}

function sealNext(db: Db, key: Buffer): Promise<MadeSeal | undefined> {
  return inTransaction(db, async (trx) => {
    if (!(await lockSeals(trx))) return undefined
    const { now: at, rows } = await lockUnsealed(trx, maxEvents)
    if (rows.length === 0) return undefined
    const last = await readLastSeal(trx)
    const content = {
      id: (last?.id ?? 0) + 1,
      at,
      previous_mac: last?.mac ?? null,
      previous_at: last?.at ?? null,
      entries: JSON.stringify(rows.map((row) => entryOf(row, key))),
    }
    const seal = { ...content, mac: macOfSeal(content, key) }
    await insertSeal(
      trx,
      seal,
      rows.map(({ id }) => id),
    )
    return { seal: sealText(seal), events: rows.length }
  })
}
