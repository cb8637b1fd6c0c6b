export interface Line {
  /** Starts at 1. */
  readonly number: number
  /** Without the line feed; undefined for a line that is too long. */
  readonly bytes: Uint8Array | undefined
}

const lineFeed = 10

/**
 * Splits bytes at line feeds, buffering at most one line of bounded length. Not node:readline, which replaces invalid
 * UTF-8, and also splits at U+2028 and U+2029, which JSON allows in strings.
 */
export async function* linesOf(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Uint8Array[] = []
  let length = 0
  let number = 0
  const add = (part: Uint8Array) => {
    length += part.length
    if (length <= maxBytes) parts.push(part)
    else parts = []
  }
  const take = (): Line => {
    const bytes = length <= maxBytes ? Buffer.concat(parts) : undefined
    parts = []
    length = 0
    return { number: ++number, bytes }
  }
  for await (const chunk of source) {
    let from = 0
    for (let to = chunk.indexOf(lineFeed); to !== -1; to = chunk.indexOf(lineFeed, from)) {
      add(chunk.subarray(from, to))
      yield take()
      from = to + 1
    }
    add(chunk.subarray(from))
  }
  if (length > 0) yield take()
}
