/**
 * Every value that a header has on the wire, in order: Node keeps the first of several or joins them.
 * @param rawHeaders names and values in turn
 */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
}
