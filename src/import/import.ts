import type { Db } from '../db/schema.ts'
import { LineRefused, readImportLine } from './line.ts'
import { type ImportedUser, type ImportOutcome, insertImported } from './repository.ts'
import { type Line, linesOf } from './split-lines.ts'

/** Progress of an import. */
export interface ImportCounts {
  /** Number of the last line read, empty lines included. */
  lines: number
  imported: number
  alreadyThere: number
  refused: number
}

export interface Refusal {
  readonly line: number
  /** Contains the field's name, never its value. */
  readonly reason: string
}

/** A database error ended the import. Counted accounts are stored; another run skips them. */
export class ImportStopped extends Error {
  override name = 'ImportStopped'
  constructor(line: number, cause: unknown) {
    // Database messages may contain values of the row.
    const code = (cause as { code?: unknown } | null)?.code
    const why = typeof code === 'string' ? ` (${code})` : ''
    super(`the database did not take what follows line ${line}${why}: run the import again to go on`, {
      cause,
    })
  }
}

const batchSize = 500

/** Many times the length of any account. */
const maxLineBytes = 16 * 1024

const reasons = {
  'id taken': 'id belongs to another account',
  'email taken': 'email belongs to another account',
  gone: 'its account was deleted during the import: run it again',
} as const satisfies Partial<Record<ImportOutcome, string>>

type Entry = { readonly line: number; readonly user: ImportedUser } | Refusal

/**
 * Imports an account from each JSON line of `source`, unless it exists, in batches.
 * @param onBatch called after each batch, with the refused lines in order
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
  for await (const line of linesOf(source, maxLineBytes)) {
    const entry = readEntry(line)
    if (entry) batch.push(entry)
    if (batch.length === batchSize) await store()
  }
  if (batch.length > 0) await store()
  return counts
}

/** @returns undefined for an empty line */
function readEntry({ number: line, bytes }: Line): Entry | undefined {
  if (!bytes) return { line, reason: `longer than ${maxLineBytes} bytes` }
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
