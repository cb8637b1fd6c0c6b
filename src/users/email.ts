/**
 * The addresses that can sign up: ASCII, an unquoted local part, a domain of two labels or more (an
 * internationalised one in its `xn--` form). Narrower than RFC 5321 on purpose: no source routes, comments,
 * quoted strings or literals, and nothing whose case or Unicode form two systems could fold differently.
 */
export const emailPattern =
  "^[A-Za-z0-9#$&'*+/=?^_{}~-]+(\\.[A-Za-z0-9#$&'*+/=?^_{}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$"

export type CanonicalEmail = string & { readonly canonicalEmail: unique symbol }

/** The one form in which an address is stored and looked up. Takes only what {@link emailPattern} lets through. */
export function canonicalEmail(address: string): CanonicalEmail {
  return address.toLowerCase() as CanonicalEmail
}

const pattern = new RegExp(emailPattern)

/** Octets before the `@`: mail servers refuse a longer one (RFC 5321 section 4.5.3.1.1). */
export const longestLocalPart = 64

/** Whether an address can become an account's. Accounts that have a longer one from before still log in. */
export function hasDeliverableLocalPart(address: string): boolean {
  return address.lastIndexOf('@') <= longestLocalPart
}

/** Whether an address is one that could sign up, RFC 5321 section 4.5.3.1.3 for its length. */
export function isEmail(address: string): boolean {
  return address.length <= 254 && pattern.test(address)
}
