/**
 * Every value of a header as sent, in order: Node keeps only the first of several, or joins them.
 * @param rawHeaders alternating names and values
 */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
}
