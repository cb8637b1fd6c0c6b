/** Characters that a key has at the most. */
export const longestKey = 255

/**
 * An `Idempotency-Key` header: a string of RFC 8941 section 3.3.3, as the draft has it (section 2.1), or the same
 * without quotes, as most clients send it: then of visible ASCII without `"`, `\`, `,` and `;`.
 */
export const idempotencyKeyPattern = `^(?:"(?:[ !#-\\[\\]-~]|\\\\["\\\\]){1,${longestKey}}"|[!#-+\\--:<-\\[\\]-~]{1,${longestKey}})$`

/** The key that a header says; quoted or not, it is the same. Takes only what {@link idempotencyKeyPattern} lets through. */
export function keyIn(header: string): string {
  return header.startsWith('"') ? header.slice(1, -1).replace(/\\(.)/g, '$1') : header
}
