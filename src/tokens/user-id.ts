/** TypeID of a user: `user_` and a UUIDv7 in Crockford's base 32. */
const minted = /^user_[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** The same in any case of letters: reserved, for any issuer. */
const mintedInAnyCase = new RegExp(minted, 'i')

const imported = /^[A-Za-z0-9]([A-Za-z0-9_-]{0,126}[A-Za-z0-9])?$/
const typeId = /^[a-z_]{0,63}_[0-7][0-9a-hjkmnp-tv-z]{25}$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a text looks like an id minted here, in any case of letters. */
export function looksMinted(id: string): boolean {
  return mintedInAnyCase.test(id)
}

/**
 * Whether a text can be the id of an account: minted here, or imported. An imported id is letters, digits, and `_` and
 * `-` between them; it does not look like a TypeID; and a UUID is in lower case, since some systems compare UUIDs without
 * regard to case.
 */
export function isUserId(id: string): boolean {
  if (minted.test(id)) return true
  if (!imported.test(id) || typeId.test(id.toLowerCase())) return false
  return !uuid.test(id) || id === id.toLowerCase()
}
