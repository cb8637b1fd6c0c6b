/**
 * The addresses that can sign up: ASCII, an unquoted local part, a domain of two labels or more (an
 * internationalised one in its `xn--` form). Narrower than RFC 5321 on purpose: no source routes, comments,
 * quoted strings or literals, and nothing that two systems could case-fold or normalize differently.
 */
export const emailPattern =
  "^[A-Za-z0-9#$&'*+/=?^_{}~-]+(\\.[A-Za-z0-9#$&'*+/=?^_{}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$"

export type CanonicalEmail = string & { readonly canonicalEmail: unique symbol }

/** The form in which an address is stored and looked up; for addresses that match {@link emailPattern}. */
export function canonicalEmail(address: string): CanonicalEmail {
  return address.toLowerCase() as CanonicalEmail
}

const pattern = new RegExp(emailPattern)

/** Octets before the `@` (RFC 5321 section 4.5.3.1.1). */
export const longestLocalPart = 64

/** Required of new addresses. Older accounts with a longer one still log in. */
export function hasDeliverableLocalPart(address: string): boolean {
  return address.lastIndexOf('@') <= longestLocalPart
}

/** Whether an address could sign up; its length by RFC 5321 section 4.5.3.1.3. */
export function isEmail(address: string): boolean {
  return address.length <= 254 && pattern.test(address)
}
