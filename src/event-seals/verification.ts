import type { Db } from '../db/schema.ts'
import type { DerivedKeys } from '../keys/derived-keys.ts'
import { Deleted } from './deleted.ts'
import {
  readDatabaseTime,
  readEventsById,
  readEventsOfSeals,
  readLastSeal,
  readSeals,
  readStrayEvents,
} from './repository.ts'
import { isSameMac, macOfEvent, type Seal, sealText } from './seal.ts'
import { entriesOf, keyOf, sealPages } from './seal-pages.ts'

export interface VerifyOptions {
  readonly db: Db
  readonly keys: DerivedKeys
  /** A seal of the log, which must be there: otherwise seals may have been cut off. */
  readonly last: Pick<Seal, 'id' | 'mac'> | undefined
  /** What the clean-up deletes, so that it is not missed. */
  readonly kept: { readonly days: number; readonly ofKind: number }
  /** Called with a line for each fault. */
  readonly onFault: (fault: string) => void
}

export interface Verified {
  readonly seals: number
  readonly events: number
  readonly faults: number
  /** The last seal, as the log has it. */
  readonly last: string | undefined
}

/** The seal of `--last` is older than those that are kept. */
export class SealExpired extends Error {
  override name = 'SealExpired'
}

/**
 * Compares every seal with the one before it, and every event with its seal.
 * @throws SealExpired
 */
export async function verifySeals({ db, keys, last, kept, onFault }: VerifyOptions): Promise<Verified> {
  const counts = { seals: 0, events: 0, faults: 0 }
  const fault = (text: string) => {
    counts.faults++
    onFault(text)
  }
  const newest = await readLastSeal(db)
  const keptSince = (await readDatabaseTime(db)) - kept.days * 86_400_000
  const deleted = new Deleted({ db, keys, keptOfKind: kept.ofKind, upTo: newest?.id ?? 0 })
  let before: Seal | undefined
  let first: number | undefined

  for await (const seals of sealPages(db, newest?.id ?? 0)) {
    const checked = seals.map((seal) => {
      if (before === undefined) {
        first = seal.id
        checkStart(seal)
        checkLastIsKept(seal)
      } else checkLink(seal, before)
      before = seal
      counts.seals++
      if (last?.id === seal.id && !isSameMac(last.mac, seal.mac))
        fault(`seal ${seal.id}: is another than the one of the log`)
      const key = keyOf(seal, keys)
      if (!key)
        fault(
          `seal ${seal.id}: does not verify under SECRET_KEY or SECRET_KEY_PREVIOUS: changed, or made under another key`,
        )
      return { seal, key }
    })
    await checkEvents(checked)
  }
  if (last && last.id > (newest?.id ?? 0)) fault(`seal ${last.id}: missing, and what came after it`)
  for (const { id, seal_id } of await readStrayEvents(db, first ?? 1, newest?.id ?? 0)) {
    // Sealed since the verification began.
    if (newest && seal_id > newest.id && (await readSeals(db, seal_id - 1, 1))[0]?.id === seal_id) continue
    fault(`seal ${seal_id}: missing, of which event ${id} is`)
  }
  await deleted.check((seal, id) => fault(`seal ${seal}: event ${id} is missing`))
  return { ...counts, last: newest && sealText(newest) }

  /** The oldest seal follows none, or one that the clean-up may have deleted. */
  function checkStart({ id, previous_at }: Seal): void {
    const isFirst = id === 1 && previous_at === null
    if (!isFirst && (previous_at === null || Date.parse(previous_at) >= keptSince))
      fault(`seal ${id}: the seals before it are missing`)
  }

  function checkLastIsKept({ id }: Seal): void {
    if (last && last.id < id) throw new SealExpired(`seal ${last.id} is no longer kept`)
  }

  function checkLink(seal: Seal, before: Seal): void {
    if (seal.id !== before.id + 1) fault(`seal ${before.id + 1}: missing`)
    else if (!seal.previous_mac || !isSameMac(seal.previous_mac, before.mac))
      fault(`seal ${seal.id}: does not follow seal ${before.id}`)
  }

  async function checkEvents(checked: readonly { seal: Seal; key: Buffer | undefined }[]): Promise<void> {
    const [from, to] = [checked[0]?.seal.id ?? 0, checked.at(-1)?.seal.id ?? 0]
    const rows = new Map((await readEventsOfSeals(db, from, to)).map((row) => [row.id, row]))
    const trusted = checked.flatMap(({ seal, key }) => (key ? [{ seal, key, entries: entriesOf(seal) }] : []))
    const unmarked = trusted.flatMap(({ entries }) => entries.flatMap(([id]) => (rows.has(id) ? [] : id)))
    const moved = unmarked.length > 0 ? await readEventsById(db, unmarked) : []
    const others = new Map(moved.map((row) => [row.id, row]))
    const trustedIds = new Set(trusted.map(({ seal }) => seal.id))
    for (const { seal, key, entries } of trusted) {
      for (const [id, at, kind, mac] of entries) {
        const row = rows.get(id) ?? others.get(id)
        rows.delete(id)
        if (!row) {
          if (at >= keptSince) deleted.note(seal.id, id, kind)
        } else if (row.seal_id !== seal.id || macOfEvent(row, key) !== mac)
          fault(`seal ${seal.id}: event ${id} was changed`)
        else counts.events++
      }
    }
    for (const { id, seal_id } of rows.values())
      if (seal_id !== null && trustedIds.has(seal_id)) fault(`seal ${seal_id}: event ${id} was added`)
  }
}
