import { type Selectable, sql } from 'kysely'
import type { UsersTable } from '../db/schema.ts'

/** An account as its owner sees it: what the wire calls `user`. */
export type User = Pick<Selectable<UsersTable>, 'id' | 'email' | 'name' | 'email_verified' | 'created_at'>

/** The name of an account until its owner sets one: signup names and addresses may be chosen by an attacker. */
export const neutralName = 'User'

/** A trusted issuer's user has the issuer's subject as its id. */
const shownId = sql<string>`coalesce(subject, id)`.as('id')

/** The columns of a {@link User}. */
export const visible = [shownId, 'email', 'name', 'email_verified', 'created_at'] as const
