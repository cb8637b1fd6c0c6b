/**
 * The pattern of stored text in the contract: no U+0000, which PostgreSQL refuses. Written as `\x00`, which all regular
 * expression engines accept; `\u0000` is an error in RE2 (Go) and PCRE2 (PHP).
 */
export const storable = '^[^\\x00]*$'

/**
 * The pattern enforced: also no leading byte order mark, which PGlite drops when it decodes. Not in the contract, since
 * no escape of U+FEFF is accepted by all engines.
 */
export const storableUnchanged = '^([^\\x00\\ufeff][^\\x00]*)?$'
