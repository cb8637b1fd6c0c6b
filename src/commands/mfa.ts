import { resetSecondFactor } from '../accounts/second-factor-removal.ts'
import { systemClock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/environment.ts'
import { sessionPolicyOf } from '../config/session-policy.ts'
import { openDatabase } from '../db/open.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { Revocations } from '../sessions/revocations.ts'
import { ownerByOperator } from '../tokens/owner.ts'
import { canonicalEmail } from '../users/email.ts'
import { findAccountId } from '../users/without-owner.ts'
import { requireSchema } from './prepare-schema.ts'

/** Parses `reset <user id or address>`. @returns undefined when it is invalid */
export function mfaOptions([action, user, ...others]: string[]): { readonly user: string } | undefined {
  return action === 'reset' && user && others.length === 0 ? { user } : undefined
}

/** The `mfa reset` command. @throws ConfigError, DataFolderInUse */
export async function runMfaReset(config: Config, { user }: { readonly user: string }): Promise<void> {
  const database = await openDatabase(config, () => {})
  try {
    await requireSchema(database)
    const id = await resetFactorOf(database.db, config, user)
    process.stdout.write(`the second factor of ${id} was removed, and every session of it has ended\n`)
  } finally {
    await database.db.destroy()
  }
}

/**
 * Removes the second factor of an account. Running instances notice the ended sessions by their revocations, and one of
 * them sends the mail.
 * @param user id or address
 * @returns the account's id
 * @throws ConfigError when there is no such account, or no factor
 */
export async function resetFactorOf(db: Db, config: Config, user: string): Promise<string> {
  const id = await findAccountId(db, user.includes('@') ? { email: canonicalEmail(user) } : { id: user })
  if (id === undefined) throw new ConfigError('no account of this service has that id or address')
  const deps = {
    db,
    sessionPolicy: { ...sessionPolicyOf(config), clock: systemClock },
    revocations: new Revocations(systemClock),
    log: { info() {}, warn() {} },
    mail: { available: config.mail.smtp !== undefined || config.mode !== 'production', wake() {} },
  }
  await resetSecondFactor(deps, ownerByOperator(id)).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'second_factor_not_enrolled'
      ? new ConfigError('the account has no second factor')
      : error
  })
  return id
}
