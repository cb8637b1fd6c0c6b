/**
 * Every value of a header as sent, in order: Node keeps only the first of several, or joins them.
 * @param rawHeaders alternating names and values
 */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const sent = rawHeaders[at] as string
    // Each request pays this: most names differ in length.
    if (sent.length === name.length && sent.toLowerCase() === name) values.push(rawHeaders[at + 1] as string)
  }
  return values
}
