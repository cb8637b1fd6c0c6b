import type { Selectable } from 'kysely'
import { typeid } from 'typeid-js'
import { violatesUnique } from '../db/errors.ts'
import type { Db, UsersTable } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { CanonicalEmail } from './email.ts'

/** An account as its owner sees it: what the wire calls `user`. */
export type User = Omit<Selectable<UsersTable>, 'password_hash'>

const visible = ['id', 'email', 'name', 'email_verified', 'created_at'] as const

interface NewUser {
  readonly email: CanonicalEmail
  readonly name: string
  readonly passwordHash: string
}

/** @returns the new account, or undefined when the address has one already */
export async function insertUser(db: Db, { email, name, passwordHash }: NewUser): Promise<User | undefined> {
  try {
    return await db
      .insertInto('users')
      .values({ id: typeid('user').toString(), email, name, password_hash: passwordHash })
      .returning(visible)
      .executeTakeFirstOrThrow()
  } catch (error) {
    if (violatesUnique(error, 'users_email_key')) return undefined
    throw error
  }
}

/** The account of an address with its hash, for login only. */
export async function findCredentials(
  db: Db,
  email: CanonicalEmail,
): Promise<Selectable<UsersTable> | undefined> {
  return db.selectFrom('users').selectAll().where('email', '=', email).executeTakeFirst()
}

/** For a session that is known to be this user's. */
export async function findUser(db: Db, id: string): Promise<User | undefined> {
  return db.selectFrom('users').select(visible).where('id', '=', id).executeTakeFirst()
}

export async function findOwnedUser(db: Db, owner: OwnerId): Promise<User | undefined> {
  return findUser(db, owner)
}

export async function findOwnedPasswordHash(db: Db, owner: OwnerId): Promise<string | undefined> {
  const row = await db.selectFrom('users').select('password_hash').where('id', '=', owner).executeTakeFirst()
  return row?.password_hash
}

export async function renameOwnedUser(db: Db, owner: OwnerId, name: string): Promise<User | undefined> {
  return db.updateTable('users').set({ name }).where('id', '=', owner).returning(visible).executeTakeFirst()
}

export async function setOwnedPasswordHash(db: Db, owner: OwnerId, passwordHash: string): Promise<void> {
  await db.updateTable('users').set({ password_hash: passwordHash }).where('id', '=', owner).execute()
}

/** Deletes the account; its sessions and tasks go with it by foreign key, in the same statement. */
export async function deleteOwnedUser(db: Db, owner: OwnerId): Promise<void> {
  await db.deleteFrom('users').where('id', '=', owner).execute()
}
