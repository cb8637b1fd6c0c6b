import { typeid } from 'typeid-js'
import { violatesUnique } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { CanonicalEmail } from './email.ts'
import { type User, visible } from './user.ts'

interface NewUser {
  readonly email: CanonicalEmail
  readonly name: string
  readonly passwordHash: string
}

/** @returns undefined when the address is taken */
export async function insertUser(db: Db, user: NewUser): Promise<User | undefined> {
  return unlessTaken(db.insertInto('users').values(rowOf(user)).returning(visible).executeTakeFirstOrThrow())
}

/** The same for an account that is pending until its address is verified. */
export async function insertWaitingUser(db: Db, user: NewUser): Promise<User | undefined> {
  return unlessTaken(
    db
      .with('made', (qb) =>
        qb
          .insertInto('users')
          .values(rowOf(user))
          .returning(['id as key', ...visible]),
      )
      .with('claim', (qb) =>
        qb
          .insertInto('account_claims')
          .columns(['user_id', 'waiting'])
          .expression(qb.selectFrom('made').select((eb) => ['key', eb.lit(true).as('waiting')])),
      )
      .selectFrom('made')
      .select(['id', 'email', 'name', 'email_verified', 'created_at'])
      .executeTakeFirstOrThrow(),
  )
}

function rowOf({ email, name, passwordHash }: NewUser) {
  return { id: typeid('user').toString(), email, name, password_hash: passwordHash }
}

/** The same for an account without a password, which the reader of its mailbox sets. */
export async function insertInvitedUser(
  db: Db,
  { email, name }: Omit<NewUser, 'passwordHash'>,
): Promise<User | undefined> {
  const row = { id: typeid('user').toString(), email, name, password_hash: null }
  return unlessTaken(db.insertInto('users').values(row).returning(visible).executeTakeFirstOrThrow())
}

async function unlessTaken(inserted: Promise<User>): Promise<User | undefined> {
  try {
    return await inserted
  } catch (error) {
    if (violatesUnique(error, 'users_email_key')) return undefined
    throw error
  }
}

interface ForeignUser {
  readonly id: string
  readonly issuer: string
  readonly subject: string
  readonly email: CanonicalEmail | null
  readonly emailVerified: boolean
  readonly name: string
}

/** Inserts a trusted issuer's user unless it exists. */
export async function insertForeignUser(db: Db, { emailVerified, ...user }: ForeignUser): Promise<void> {
  await db
    .insertInto('users')
    .values({ ...user, email_verified: emailVerified })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
}
