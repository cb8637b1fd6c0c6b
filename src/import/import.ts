import type { Db } from '../db/schema.ts'
import { LineRefused, readImportLine } from './line.ts'
import { type ImportedUser, type ImportOutcome, insertImported } from './repository.ts'
import { type Line, linesOf } from './split-lines.ts'

/** How far an import is. */
export interface ImportCounts {
  /** Number of the last line that was read; an empty one makes nothing and is not refused. */
  lines: number
  imported: number
  alreadyThere: number
  refused: number
}

export interface Refusal {
  readonly line: number
  /** Names the field, never its value. */
  readonly reason: string
}

/** The database ended an import. What was counted until then is stored, and the next run goes on from there. */
export class ImportStopped extends Error {
  override name = 'ImportStopped'
  constructor(line: number, cause: unknown) {
    // A database's own words can hold values of the row that it speaks of.
    const code = (cause as { code?: unknown } | null)?.code
    const why = typeof code === 'string' ? ` (${code})` : ''
    super(`the database did not take what follows line ${line}${why}: run the import again to go on`, {
      cause,
    })
  }
}

/** Lines that go to the database together. */
const batchSize = 500

/** Bytes; many times what an account can have. */
const longestLine = 16 * 1024

const reasons = {
  'id taken': 'id belongs to another account',
  'email taken': 'email belongs to another account',
  gone: 'its account was deleted during the import: run it again',
} as const satisfies Partial<Record<ImportOutcome, string>>

type Entry = { readonly line: number; readonly user: ImportedUser } | Refusal

/**
 * Makes an account of each JSON line of `source` that is not there yet, without holding more than a batch of it.
 * @param onBatch told, after each batch is stored, how far it is and what was refused, in the order of the lines
 * @throws ImportStopped
 */
export async function importUsers(
  db: Db,
  source: AsyncIterable<Uint8Array>,
  onBatch: (counts: Readonly<ImportCounts>, refused: readonly Refusal[]) => void,
): Promise<ImportCounts> {
  const counts = { lines: 0, imported: 0, alreadyThere: 0, refused: 0 }
  let batch: Entry[] = []
  const store = async () => {
    onBatch(counts, await storeBatch(db, batch, counts))
    batch = []
  }
  for await (const line of linesOf(source, longestLine)) {
    const entry = readEntry(line)
    if (entry) batch.push(entry)
    if (batch.length === batchSize) await store()
  }
  if (batch.length > 0) await store()
  return counts
}

/** @returns undefined for a line with nothing on it */
function readEntry({ number: line, bytes }: Line): Entry | undefined {
  if (!bytes) return { line, reason: `longer than ${longestLine} bytes` }
  if (bytes.every((byte) => blank.has(byte))) return undefined
  try {
    return { line, user: readImportLine(bytes) }
  } catch (error) {
    if (error instanceof LineRefused) return { line, reason: error.message }
    throw error
  }
}

const blank: ReadonlySet<number> = new Set(Buffer.from(' \t\r'))

async function storeBatch(db: Db, batch: readonly Entry[], counts: ImportCounts): Promise<Refusal[]> {
  const users = batch.flatMap((entry) => ('user' in entry ? [entry.user] : []))
  const outcomes = await insertImported(db, users).catch((error: unknown) => {
    throw new ImportStopped(counts.lines, error)
  })
  const refused: Refusal[] = []
  let at = 0
  for (const entry of batch) {
    counts.lines = entry.line
    const outcome = 'user' in entry ? (outcomes[at++] ?? 'gone') : entry
    if (outcome === 'imported') counts.imported++
    else if (outcome === 'already there') counts.alreadyThere++
    else refused.push(typeof outcome === 'string' ? { line: entry.line, reason: reasons[outcome] } : outcome)
  }
  counts.refused += refused.length
  return refused
}
