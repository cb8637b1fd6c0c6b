export const longestKey = 255

/**
 * An `Idempotency-Key` header: a string of RFC 8941 section 3.3.3, as the draft has it (section 2.1), or the same
 * without quotes, as most clients send it: then of visible ASCII without `"`, `\`, `,` and `;`.
 */
export const idempotencyKeyPattern = `^(?:"(?:[ !#-\\[\\]-~]|\\\\["\\\\]){1,${longestKey}}"|[!#-+\\--:<-\\[\\]-~]{1,${longestKey}})$`

/** The key of a header that matches {@link idempotencyKeyPattern}, without quotes. */
export function keyIn(header: string): string {
  return header.startsWith('"') ? header.slice(1, -1).replace(/\\(.)/g, '$1') : header
}
