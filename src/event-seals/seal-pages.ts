import type { Db } from '../db/schema.ts'
import type { DerivedKeys } from '../keys/derived-keys.ts'
import { readSeals } from './repository.ts'
import { type Entry, isSameMac, macOfSeal, type Seal } from './seal.ts'

/** Seals of one statement: few, since each may have a thousand events. */
const pageSeals = 20

/** All seals in order, up to one: more are made meanwhile. */
export async function* sealPages(db: Db, upTo: number): AsyncGenerator<Seal[]> {
  let after = 0
  for (;;) {
    const seals = (await readSeals(db, after, pageSeals)).filter(({ id }) => id <= upTo)
    if (seals.length === 0) return
    yield seals
    after = seals.at(-1)?.id ?? upTo
  }
}

/** The key that made a seal; undefined when neither did, or when it was changed. */
export function keyOf(seal: Seal, { current, previous }: DerivedKeys): Buffer | undefined {
  return [current, previous].find((key) => key && isSameMac(macOfSeal(seal, key), seal.mac))
}

/** Of a seal that {@link keyOf} has verified. */
export function entriesOf({ entries }: Seal): readonly Entry[] {
  return JSON.parse(entries) as Entry[]
}
