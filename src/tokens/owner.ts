import { Problem } from '../problem.ts'

declare const guarded: unique symbol

/**
 * A user id that a verified token carried. Statements on a user's data take no other type, and only the two
 * functions below make one: a route that forgot its guard has nothing to call a repository with.
 */
export type OwnerId = string & { readonly [guarded]: true }

/** Who a verified token speaks for. */
export interface Principal {
  /** `sub`, RFC 7519 section 4.1.2. */
  readonly sub: string
  /** The session that the token belongs to; a trusted issuer's token has none here. */
  readonly sid: string | undefined
  /** Seconds since the epoch. */
  readonly issuedAt: number | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

/** The owner of whatever is the token's own: the account, its sessions. */
export function ownerOf(user: Principal): OwnerId {
  return user.sub as OwnerId
}

/**
 * The owner that a path names, if the token speaks for it.
 * @throws Problem not_owner, the same whether that user exists or not
 */
export function assertOwned(user: Principal, userId: string): OwnerId {
  if (user.sub !== userId) throw new Problem('not_owner')
  return ownerOf(user)
}
