import type { Config } from '../config/config.ts'
import { openDatabase } from '../db/open.ts'
import { waiting } from './prepare-schema.ts'

/** Applies the pending migrations. */
export async function runMigrations(config: Config): Promise<void> {
  const { db, migrate } = await openDatabase(config, () => {})
  try {
    const applied = await migrate({ onWait: () => process.stderr.write(`latchkey: ${waiting}\n`) })
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the schema is up to date\n',
    )
  } finally {
    await db.destroy()
  }
}
