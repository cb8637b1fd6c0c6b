import { sql } from 'kysely'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/load-config.ts'
import { openDatabase } from '../src/db/open.ts'
import { freshDatabase, type Test } from '../test/support/postgres.ts'

const server = process.env['BENCH_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
/** Of every known account. */
export const password = 'correct horse battery'

const cleanUps: (() => unknown)[] = []
const bench: Test = { teardown: (fn) => cleanUps.unshift(fn) }

/** Ends every service that was started. */
export async function cleanUp(): Promise<void> {
  for (const end of cleanUps) await end()
}

/** The service in a process of its own would be idle like this one: it is the only thing that runs. */
export async function startService(env: Record<string, string>, delayUnknown = 0) {
  const { url } = await freshDatabase(bench, server)
  const config = loadConfig(
    {
      NODE_ENV: 'production',
      DATABASE_URL: url,
      SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
      PUBLIC_URL: 'http://latchkey.test',
      APP_URL: 'http://app.test',
      RATE_LIMITS: 'off',
      LOG_LEVEL: 'silent',
      PASSWORD_BLOCKLIST: 'off',
      ...env,
    },
    () => '',
  )
  const database = await openDatabase(config, () => {})
  await database.migrate()
  const app = await buildApp(config, database)
  if (delayUnknown > 0) {
    const verify = app.passwords.verify.bind(app.passwords)
    app.passwords.verify = async (hash, given) => {
      if (!hash) await new Promise((resolve) => setTimeout(resolve, delayUnknown))
      return verify(hash, given)
    }
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  cleanUps.unshift(() => app.close())
  const { port } = app.server.address() as { port: number }
  return { app, port }
}

export type Service = Awaited<ReturnType<typeof startService>>

/** Accounts without the cost of a hash for each: all have the same password. */
export async function addAccounts({ app }: Service, emails: readonly string[]): Promise<void> {
  const hash = await app.passwords.hash(password)
  for (let at = 0; at < emails.length; at += 500) {
    const rows = emails.slice(at, at + 500).map((email, index) => ({
      id: `bench-${at + index}`,
      email,
      name: 'Bench',
      email_verified: true,
      password_hash: hash,
    }))
    await app.db.insertInto('users').values(rows).execute()
  }
}

/** What a user leaves behind who has been there for long. */
export async function addHistory({ app }: Service): Promise<void> {
  const { db } = app
  await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
    select id || ' ' || n, id, 'x', '', '', now() + interval '1 day', now() + interval '1 day'
    from users, generate_series(1, 40) n`.execute(db)
  await sql`delete from sessions where random() < 0.5`.execute(db)
  await sql`insert into security_events (event, user_id, session_id, ip)
    select 'session_ended', id, 'x', '192.0.2.1' from users, generate_series(1, 1000) n`.execute(db)
  await sql`analyze`.execute(db)
}
