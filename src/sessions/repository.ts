import type { Selectable } from 'kysely'
import { typeid } from 'typeid-js'
import type { Db, SessionsTable } from '../db/schema.ts'

export type Session = Selectable<SessionsTable>

/** Where a session was opened from, as its owner will see it in the list. */
export interface Client {
  readonly ip: string
  readonly userAgent: string
}

export async function insertSession(db: Db, userId: string, client: Client): Promise<Session> {
  return db
    .insertInto('sessions')
    .values({
      id: typeid('session').toString(),
      user_id: userId,
      ip: client.ip,
      user_agent: client.userAgent,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}
