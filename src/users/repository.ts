import { type Selectable, sql } from 'kysely'
import type { Db, UsersTable } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { lastReset, type PasswordReset } from './password-resets.ts'
import { neutralName, type User, visible } from './user.ts'
import { findUser } from './without-owner.ts'

export async function findOwnedUser(db: Db, owner: OwnerId): Promise<User | undefined> {
  return findUser(db, owner)
}

export async function findOwnedPasswordHash(
  db: Db,
  owner: OwnerId,
): Promise<
  (Pick<Selectable<UsersTable>, 'email' | 'password_hash'> & { reset: PasswordReset | null }) | undefined
> {
  return db
    .selectFrom('users')
    .select(['email', 'password_hash', lastReset])
    .where('id', '=', owner)
    .executeTakeFirst()
}

export async function renameOwnedUser(db: Db, owner: OwnerId, name: string): Promise<User | undefined> {
  return db
    .updateTable('users')
    .set({ name, named_by: sql<string | null>`case when email_verified then email end` })
    .where('id', '=', owner)
    .returning(visible)
    .executeTakeFirst()
}

/** For an account whose name another party chose. */
export async function resetOwnedName(db: Db, owner: OwnerId): Promise<void> {
  await db.updateTable('users').set({ name: neutralName, named_by: null }).where('id', '=', owner).execute()
}

export async function setOwnedPasswordHash(
  db: Db,
  owner: OwnerId,
  passwordHash: string | null,
): Promise<void> {
  await db.updateTable('users').set({ password_hash: passwordHash }).where('id', '=', owner).execute()
}

/** @throws a violation of `users_email_key` when the address is taken */
export async function setOwnedVerifiedEmail(db: Db, owner: OwnerId, email: string): Promise<void> {
  await db.updateTable('users').set({ email, email_verified: true }).where('id', '=', owner).execute()
}

/** Sessions and tasks are deleted with it by foreign key. */
export async function deleteOwnedUser(db: Db, owner: OwnerId): Promise<void> {
  await db.deleteFrom('users').where('id', '=', owner).execute()
}
