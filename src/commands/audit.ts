import { parseArgs } from 'node:util'
import { eventDays, eventsOfKind } from '../clean-up/clean-up.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/environment.ts'
import { openDatabase } from '../db/open.ts'
import { parseSealText, sealKeys } from '../event-seals/seal.ts'
import { SealExpired, type Verified, verifySeals } from '../event-seals/verification.ts'
import { requireSchema } from './prepare-schema.ts'

interface AuditOptions {
  /** A seal as the log has it. */
  readonly last: string | undefined
}

/** Parses `verify [--last <seal>]`. @returns undefined when it is invalid */
export function auditOptions(args: string[]): AuditOptions | undefined {
  try {
    const { values, positionals } = parseArgs({
      args,
      options: { last: { type: 'string' } },
      allowPositionals: true,
    })
    const [action, ...others] = positionals
    return action === 'verify' && others.length === 0 ? { last: values.last } : undefined
  } catch {
    return undefined
  }
}

/**
 * The command `audit verify`: a line for each fault, and a summary. The exit code is 1 when there are faults.
 * @throws ConfigError, DataFolderInUse
 */
export async function runAudit(config: Config, { last: text }: AuditOptions): Promise<void> {
  const last = text === undefined ? undefined : parseSealText(text)
  if (text !== undefined && !last)
    throw new ConfigError('--last must be a seal of the log, the text that it has as `seal`')
  const database = await openDatabase(config, () => {})
  const { db } = database
  try {
    await requireSchema(database)
    const verified = await verifySeals({
      db,
      keys: sealKeys(config.secretKey, config.previousSecretKey),
      last,
      kept: { days: eventDays, ofKind: eventsOfKind },
      onFault: (fault) => process.stderr.write(`${fault}\n`),
    })
    process.stdout.write(summaryOf(verified))
    if (verified.faults > 0) process.exitCode = 1
  } catch (error) {
    throw error instanceof SealExpired ? new ConfigError(`--last: ${error.message}: give a newer one`) : error
  } finally {
    await db.destroy()
  }
}

function summaryOf({ seals, events, faults, last }: Verified): string {
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  const result = faults === 0 ? 'no fault' : counted(faults, 'fault')
  const sealed = `${counted(seals, 'seal')} with ${counted(events, 'event')}`
  return `verified ${sealed}: ${result}\n${last ? `last seal ${last}\n` : ''}`
}
