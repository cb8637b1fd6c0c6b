import { writeFileSync } from 'node:fs'
import { readDocument } from './document.ts'
import { type Options, readOptions, usage } from './options.ts'
import { prove } from './prove.ts'
import { CannotProve } from './refusal.ts'
import { jsonOf, junitOf, textOf } from './report.ts'
import type { Report } from './result.ts'
import { redactor } from './tokens.ts'

/** As package.json has it. */
export const version = '0.1.0'

export interface Console {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly signal?: AbortSignal
}

/** Runs the command line, and returns its exit code. */
export async function run(args: readonly string[], { env, out, err, signal }: Console): Promise<number> {
  try {
    const options = await readOptions(args, env)
    if (options === 'help') out(usage)
    else if (options === 'version') out(`${version}\n`)
    else return await proved(options, out, err, signal)
    return 0
  } catch (error) {
    if (signal?.aborted) {
      err('latchkey-prove: stopped\n')
      return 130
    }
    if (!(error instanceof CannotProve)) throw error
    err(`latchkey-prove: ${error.message}\n`)
    return 2
  }
}

async function proved(
  options: Options,
  out: Console['out'],
  err: Console['err'],
  signal: AbortSignal | undefined,
): Promise<number> {
  const redacted = redactor(options.tokens)
  const document = await readDocument(options.source, options.timeoutMs)
  const log = (line: string) => err(redacted(`${line}\n`))
  let report: Report
  try {
    report = await prove({ ...options, document, log, ...(signal ? { signal } : {}) })
  } catch (error) {
    if (!(error instanceof CannotProve)) throw error
    // CI finds a report in any case.
    const { message } = error
    report = {
      title: document.title,
      baseUrl: options.baseUrl.href,
      verdict: 'nothing_proven',
      summary: message,
      operations: [],
      leftBehind: [],
    }
  }
  if (options.json !== undefined && options.json !== '-') write(options.json, redacted(jsonOf(report)))
  if (options.junit !== undefined) write(options.junit, redacted(junitOf(report)))
  out(redacted(options.json === '-' ? jsonOf(report) : textOf(report)))
  if (report.verdict === 'hole') return 1
  const all = report.operations.every(({ verdict }) => verdict !== 'not_proven')
  return report.verdict === 'sound' && (all || !options.strict) ? 0 : 2
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (error) {
    throw new CannotProve(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code}`)
  }
}
