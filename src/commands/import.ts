import { appendFileSync, createReadStream, fstatSync, openSync, type Stats, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/environment.ts'
import { openDatabase } from '../db/open.ts'
import { type ImportCounts, importUsers, type Refusal } from '../import/import.ts'
import { requireSchema } from './prepare-schema.ts'

interface ImportOptions {
  /** `-` is standard input. */
  readonly file: string
  /** File for refused lines; standard error by default. */
  readonly report: string | undefined
}

/** Parses `<file> [--report <file>]`. @returns undefined when it is invalid */
export function importOptions(args: string[]): ImportOptions | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      options: { report: { type: 'string' } },
      allowPositionals: true,
    })
    const [file, ...others] = positionals
    return file && others.length === 0 && values.report !== '' ? { file, report: values.report } : undefined
  } catch {
    return undefined
  }
}

/** Between two lines of progress. */
const progressIntervalMs = 1_000

/**
 * Imports users from a file of JSON lines, see docs/import.md. The exit code is 1 when lines were refused.
 * @throws ConfigError, DataFolderInUse, ImportStopped, and file system errors
 */
export async function runImport(config: Config, { file, report }: ImportOptions): Promise<void> {
  const input = file === '-' ? 0 : openSync(file, 'r')
  const write = report === undefined ? toStderr : toReport(report, fstatSync(input))
  const database = await openDatabase(config, () => {})
  const { db } = database
  try {
    await requireSchema(database)
    const source = file === '-' ? process.stdin : createReadStream('', { fd: input })
    const reportProgress = progress()
    const counts = await importUsers(db, source, (counts, refused) => {
      if (refused.length > 0) write(refused.map(toLine).join(''))
      reportProgress(counts)
    })
    process.stdout.write(`${summaryOf(counts)}\n`)
    if (counts.refused > 0) process.exitCode = 1
  } finally {
    await db.destroy()
  }
}

type Write = (text: string) => void

const toStderr: Write = (text) => {
  process.stderr.write(text)
}

/** Truncates the report, unless it is the input file. */
function toReport(path: string, input: Stats): Write {
  const { dev, ino } = statSync(path, { throwIfNoEntry: false }) ?? {}
  if (dev === input.dev && ino === input.ino) {
    throw new ConfigError('--report must not name the file that is read')
  }
  const report = openSync(path, 'w')
  return (text) => appendFileSync(report, text)
}

/** Prints progress once a second; a short import prints none. */
function progress(): (counts: ImportCounts) => void {
  let last: number | undefined
  return (counts) => {
    last ??= performance.now()
    if (performance.now() - last < progressIntervalMs) return
    last = performance.now()
    toStderr(`line ${inDigits(counts.lines)}: ${summaryOf(counts)}\n`)
  }
}

function toLine({ line, reason }: Refusal): string {
  return `line ${line}: ${reason}\n`
}

function summaryOf({ imported, alreadyThere, refused }: ImportCounts): string {
  return `imported ${inDigits(imported)}, already there ${inDigits(alreadyThere)}, refused ${inDigits(refused)}`
}

function inDigits(count: number): string {
  return count.toLocaleString('en-US')
}
