/**
 * Decodes a name or value of `application/x-www-form-urlencoded`.
 * @returns undefined for a malformed percent-encoding, or one that is not UTF-8
 */
export function decodeFormText(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
