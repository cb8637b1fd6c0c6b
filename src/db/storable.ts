/**
 * Text that both databases keep as it is: without U+0000, which PostgreSQL refuses, and without a byte order mark at
 * its start, which PGlite drops when it decodes.
 */
export const storable = '^([^\\u0000\\ufeff][^\\u0000]*)?$'
