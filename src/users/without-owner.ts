/** Statements on accounts before there is an owner: by address at a login, by id in a transaction or mail. */
import { type Selectable, sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import type { Db, Trx, UsersTable } from '../db/schema.ts'
import { confirmedFactor } from '../second-factor/repository.ts'
import { isBanned } from './bans.ts'
import { isContested, isWaiting, openingHash } from './claims.ts'
import type { CanonicalEmail } from './email.ts'
import { lastReset, type PasswordReset } from './password-resets.ts'
import { type User, visible } from './user.ts'

/** An account as a login needs it. */
export interface Credentials extends User {
  /** Null where no password opens the account. */
  readonly password_hash: string | null
  readonly waiting: boolean
  readonly banned: boolean
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
    .select([...visible, openingHash, isWaiting, isBanned, lastReset, confirmedFactor])
    .executeTakeFirstOrThrow()
  if (name === null || email_verified === null || created_at === null) return undefined
  return { id, name, email_verified, created_at, ...rest }
}

/** The same by its id: never a trusted issuer's user. */
export async function findCredentialsById(db: Db, id: string): Promise<Credentials | undefined> {
  return db
    .selectFrom('users')
    .select([...visible, openingHash, isWaiting, isBanned, lastReset, confirmedFactor])
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

/** The id of an account created here, for its operator. */
export async function findAccountId(
  db: Db,
  by: { readonly id: string } | { readonly email: CanonicalEmail },
): Promise<string | undefined> {
  const row = await db
    .selectFrom('users')
    .select('id')
    .where((eb) => eb.and(by))
    .where('issuer', 'is', null)
    .executeTakeFirst()
  return row?.id
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
  const [user] = await selectUser(db, { id })
  return user
}

const selectUser = compiledOnce<{ readonly id: string }, User>((db, value) =>
  db.selectFrom('users').select(visible).where('id', '=', value('id')),
)

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

export async function deleteUnverifiedUser(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom('users').where('id', '=', id).where('email_verified', '=', false).execute()
}
