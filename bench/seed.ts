import { sql } from 'kysely'
import { typeid } from 'typeid-js'
import type { Db } from '../src/db/schema.ts'
import { hashPassword } from '../src/passwords/hashes.ts'
import { newSalt, refreshKeys, refreshToken } from '../src/sessions/refresh-token.ts'

export const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
export const password = 'correct horse battery'
export const readerEmail = 'user0@example.com'

/** Users who log in, and sessions that are refreshed by each of the two sides. */
const many = 32

/** A user's tasks, of which a page is read. */
const tasksOfReader = 1_000

export interface Seeded {
  readonly reader: string
  readonly passwordHash: string
  readonly emails: readonly string[]
  /** Refresh tokens of different sessions. */
  readonly refreshTokens: readonly string[]
}

/** Fills a migrated database: one user's 1,000 tasks, those of `users` others up to `tasks`, users to log in. */
export async function seed(db: Db, { tasks, users }: { tasks: number; users: number }): Promise<Seeded> {
  const passwordHash = await hashPassword(password)
  const ids = Array.from({ length: 3 * many + 1 }, () => typeid('user').toString())
  const emails = ids.map((_, at) => `user${at}@example.com`)
  const rows = ids.map((id, at) => ({
    id,
    email: emails[at] as string,
    name: 'Bench',
    password_hash: passwordHash,
  }))
  await db.insertInto('users').values(rows).execute()
  const [reader = '', ...others] = ids
  await sql`
    insert into tasks (user_id, title, description)
    select ${reader}, 'Task number ' || i, 'Two litres of milk, and bread' from generate_series(1, ${tasksOfReader}::int) i
  `.execute(db)
  if (tasks > tasksOfReader) {
    await sql`
      insert into users (id, email, name, password_hash)
      select 'filler-' || i, 'filler' || i || '@example.com', 'Filler', ${passwordHash} from generate_series(0, ${users - 1}::int) i
    `.execute(db)
    await sql`
      insert into tasks (user_id, title, description)
      select 'filler-' || (i % ${users}::int), 'Task number ' || i, 'Two litres of milk, and bread'
      from generate_series(1, ${tasks - tasksOfReader}::int) i
    `.execute(db)
  }
  const refreshTokens = await openSessions(db, others.slice(many))
  await sql`analyze`.execute(db)
  return { reader, passwordHash, emails: emails.slice(1, many + 1), refreshTokens }
}

async function openSessions(db: Db, users: readonly string[]): Promise<string[]> {
  const keys = refreshKeys(secret, undefined)
  const inTenDays = sql<string>`now() + interval '10 days'`
  const sessions = users.map((user_id) => ({
    id: typeid('session').toString(),
    user_id,
    salt: newSalt(),
    ip: '127.0.0.1',
    user_agent: 'bench',
    idle_expires_at: inTenDays,
    expires_at: inTenDays,
  }))
  await db.insertInto('sessions').values(sessions).execute()
  return sessions.map(({ id, salt }) => refreshToken(keys, { sessionId: id, generation: 0 }, salt))
}
