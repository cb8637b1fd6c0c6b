/**
 * What the contract says of stored text: no U+0000, which PostgreSQL refuses. Written as `\x00`, which the regular
 * expressions of all languages read; `\u0000` is an error in RE2 (Go) and PCRE2 (PHP).
 */
export const storable = '^[^\\x00]*$'

/**
 * What is enforced: also no byte order mark at the start, which PGlite drops when it decodes. Only in code, since no
 * spelling of U+FEFF is read by all engines.
 */
export const storableUnchanged = '^([^\\x00\\ufeff][^\\x00]*)?$'
