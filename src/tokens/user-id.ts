/** TypeID of a user: `user_` and a UUIDv7 in Crockford's base 32. */
const minted = /^user_[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** The same in any spelling: what nobody else may call a user. */
const mintedInAnyCase = new RegExp(minted, 'i')

const imported = /^[A-Za-z0-9]([A-Za-z0-9_-]{0,126}[A-Za-z0-9])?$/
const typeId = /^[a-z_]{0,63}_[0-7][0-9a-hjkmnp-tv-z]{25}$/
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a text looks like an id that was minted here, in whatever case. */
export function looksMinted(id: string): boolean {
  return mintedInAnyCase.test(id)
}

/**
 * Whether a text can be the id of an account here: minted here, or brought along by an import. An imported id is
 * letters, digits, and `_` and `-` between them; not what looks like a TypeID, of whatever type; and a UUID in lower case only,
 * since some systems take its spellings for one.
 */
export function isUserId(id: string): boolean {
  if (minted.test(id)) return true
  if (!imported.test(id) || typeId.test(id.toLowerCase())) return false
  return !uuid.test(id) || id === id.toLowerCase()
}
