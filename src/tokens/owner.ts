import { Problem } from '../problem.ts'
import type { UsedToken } from './used-token.ts'

declare const guarded: unique symbol

/**
 * A user id that a verified token carried. Statements on a user's data take no other type, and only the
 * functions below make one: a route that forgot its guard has nothing to call a repository with.
 */
export type OwnerId = string & { readonly [guarded]: true }

/** The user that a verified token authenticates. */
export interface Principal {
  /** `sub`, RFC 7519 section 4.1.2: the user in paths and answers. */
  readonly sub: string
  /**
   * The user among those of all issuers, the key of what is stored: `sub`, or for a trusted issuer with keys of its
   * own, the issuer, a space and `sub`. No two issuers can speak of the same one.
   */
  readonly userId: string
  /** The trusted issuer; undefined for a Latchkey's own tokens. */
  readonly issuer: string | undefined
  /** The session that the token belongs to; a trusted issuer's token has none here. */
  readonly sid: string | undefined
  /** Seconds since the epoch. */
  readonly issuedAt: number | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
  /** When the user last authenticated, in seconds since the epoch (`auth_time`, OpenID Connect Core section 2). */
  readonly authTime?: number | undefined
  /** How, RFC 8176: `pwd`, `otp`. */
  readonly amr?: readonly string[] | undefined
  readonly acr?: string | undefined
  /** The client that the token was issued to (`client_id`, RFC 9068 section 2.2). */
  readonly clientId?: string | undefined
  /** Scopes of an API key; undefined for a token of a session, which has every scope. */
  readonly scopes?: readonly string[] | undefined
  /** The API key that was presented. */
  readonly keyId?: string | undefined
  /** Whether the account has a second factor; set for API keys, which have no `acr`. */
  readonly enrolled?: boolean | undefined
  /** Claims about the user in a trusted issuer's token. */
  readonly profile?: Profile
}

/** Claims about a person, not validated: of any length and content. */
export interface Profile {
  readonly email: string | undefined
  readonly name: string | undefined
  readonly emailVerified: boolean
}

/** The owner of whatever is the token's own: the account, its sessions. */
export function ownerOf(user: Principal): OwnerId {
  return user.userId as OwnerId
}

/**
 * The owner that a path names, if the token speaks for it. Of two issuers that call a user the same, the token's own
 * is meant.
 * @throws Problem not_owner, the same whether that user exists or not
 */
export function assertOwned(user: Principal, named: string): OwnerId {
  if (user.sub !== named) throw new Problem('not_owner')
  return ownerOf(user)
}

/** What a user is called in paths and answers: an issuer has no space in it, nor has a subject. */
export function subjectOf(userId: string): string {
  return userId.slice(userId.indexOf(' ') + 1)
}

/** The trusted issuer that a user is of; undefined for one who is known by `sub` alone. */
export function issuerOf(userId: string): string | undefined {
  const space = userId.indexOf(' ')
  return space === -1 ? undefined : userId.slice(0, space)
}

/** The owner to whom a one-time token was mailed, once it is used up. */
export function ownerByMail(token: UsedToken): OwnerId {
  return token.user_id as OwnerId
}

/** The owner whom the operator of the service names, on its command line. */
export function ownerByOperator(userId: string): OwnerId {
  return userId as OwnerId
}
