/** OIDs of the types with parsers of their own. */
const INT8 = 20
const DATE = 1082
const TIMESTAMPTZ = 1184

/**
 * `2026-01-31 12:00:00.5+00` to `2026-01-31T12:00:00.500Z`, RFC 3339 in UTC. A server in another time zone
 * writes another offset, so that path goes through Date.
 */
function toRfc3339(text: string): string {
  if (!text.endsWith('+00')) return new Date(text.replace(/([+-]\d\d)$/, '$1:00')).toISOString()
  const milliseconds = text.slice(20, -3).slice(0, 3).padEnd(3, '0')
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${milliseconds}Z`
}

/** The parsers by OID; bigint columns stay below 2^53. */
export const parsers: Record<number, (text: string) => unknown> = {
  [INT8]: Number,
  // As it is: a Date would be midnight in the zone of this process.
  [DATE]: (text) => text,
  [TIMESTAMPTZ]: toRfc3339,
}
