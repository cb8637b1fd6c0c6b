import type { Kysely } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  // For the clean-up: those that are over are few among many.
  await db.schema.createIndex('sessions_by_idle_end').on('sessions').column('idle_expires_at').execute()
}
