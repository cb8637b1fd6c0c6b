import { type Selectable, sql } from 'kysely'
import { typeid } from 'typeid-js'
import { violatesUnique } from '../db/errors.ts'
import type { Db, Trx, UsersTable } from '../db/schema.ts'
import { confirmedFactor } from '../second-factor/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { isContested, isWaiting, openingHash } from './claims.ts'
import type { CanonicalEmail } from './email.ts'
import { lastReset, type PasswordReset } from './password-resets.ts'

/** An account as its owner sees it: what the wire calls `user`. */
export type User = Pick<Selectable<UsersTable>, 'id' | 'email' | 'name' | 'email_verified' | 'created_at'>

/** The name of an account until its owner sets one: signup names and addresses may be chosen by an attacker. */
export const neutralName = 'User'

/** A trusted issuer's user has the issuer's subject as its id. */
const shownId = sql<string>`coalesce(subject, id)`.as('id')

const visible = [shownId, 'email', 'name', 'email_verified', 'created_at'] as const

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

/** An account as a login needs it. */
export interface Credentials extends User {
  /** Null where no password opens the account. */
  readonly password_hash: string | null
  readonly waiting: boolean
  readonly reset: PasswordReset | null
  /** The id of its second factor, once that is confirmed. */
  readonly second_factor: string | null
}

/**
 * The account of an address with its hash, for login only. A trusted issuer's user has no login here. Reads one row
 * in any case: where no hash is computed, timing must not reveal an account.
 */
export async function findCredentials(db: Db, email: CanonicalEmail): Promise<Credentials | undefined> {
  const { id, name, email_verified, created_at, ...rest } = await db
    .selectFrom(sql<object>`(select)`.as('one'))
    .leftJoin('users', (join) => join.on('users.email', '=', email).on('users.issuer', 'is', null))
    .select([...visible, openingHash, isWaiting, lastReset, confirmedFactor])
    .executeTakeFirstOrThrow()
  if (name === null || email_verified === null || created_at === null) return undefined
  return { id, name, email_verified, created_at, ...rest }
}

/** The same by its id: never a trusted issuer's user. */
export async function findCredentialsById(db: Db, id: string): Promise<Credentials | undefined> {
  return db
    .selectFrom('users')
    .select([...visible, openingHash, isWaiting, lastReset, confirmedFactor])
    .where('id', '=', id)
    .where('issuer', 'is', null)
    .executeTakeFirst()
}

/**
 * Takes the user's row lock: whatever else would open or end this user's sessions waits for the end of the transaction.
 * @returns the password hash under the lock, null for an account without one, undefined when there is no such user
 */
export async function lockUser(trx: Trx, userId: string): Promise<string | null | undefined> {
  const row = await trx
    .selectFrom('users')
    .select('password_hash')
    .where('id', '=', userId)
    .forUpdate()
    .executeTakeFirst()
  return row?.password_hash
}

/** An account created here, locked until the transaction ends. */
export interface LockedAccount
  extends Pick<Selectable<UsersTable>, 'id' | 'email' | 'name' | 'email_verified' | 'password_hash'> {
  readonly waiting: boolean
  readonly contested: boolean
}

/** Never a trusted issuer's user. */
export async function lockAccount(
  trx: Trx,
  by: { readonly id: string } | { readonly email: string },
): Promise<LockedAccount | undefined> {
  return trx
    .selectFrom('users')
    .select(['id', 'email', 'name', 'email_verified', openingHash, isWaiting, isContested])
    .where((eb) => eb.and(by))
    .where('issuer', 'is', null)
    .forUpdate()
    .executeTakeFirst()
}

/** What decides how a mail greets its reader. */
export async function findAddressee(
  db: Db,
  id: string,
): Promise<
  | (Pick<LockedAccount, 'name' | 'email_verified' | 'password_hash' | 'waiting'> & {
      named_by: string | null
    })
  | undefined
> {
  return db
    .selectFrom('users')
    .select(['name', 'named_by', 'email_verified', 'password_hash', isWaiting])
    .where('id', '=', id)
    .executeTakeFirst()
}

/** Only for a verified session of this user. */
export async function findUser(db: Db, id: string): Promise<User | undefined> {
  return db.selectFrom('users').select(visible).where('id', '=', id).executeTakeFirst()
}

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

/**
 * Upgrades the hash of a password by compare-and-set, at a login, where there is no owner yet.
 * @returns false when another hash has replaced `from`
 */
export async function replacePasswordHash(
  db: Db,
  userId: string,
  { from, to }: { from: string; to: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('users')
    .set({ password_hash: to })
    .where('id', '=', userId)
    .where('password_hash', '=', from)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** @throws a violation of `users_email_key` when the address is taken */
export async function setOwnedVerifiedEmail(db: Db, owner: OwnerId, email: string): Promise<void> {
  await db.updateTable('users').set({ email, email_verified: true }).where('id', '=', owner).execute()
}

export async function deleteUnverifiedUser(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('users').where('id', '=', id).where('email_verified', '=', false).execute()
}

/** Sessions and tasks are deleted with it by foreign key. */
export async function deleteOwnedUser(db: Db, owner: OwnerId): Promise<void> {
  await db.deleteFrom('users').where('id', '=', owner).execute()
}
