export interface Line {
  /** From 1. */
  readonly number: number
  /** Without the line feed; undefined for a line that is longer than it may be. */
  readonly bytes: Uint8Array | undefined
}

const lineFeed = 10

/**
 * Splits bytes at line feeds, holding one line at a time, and of one that is too long nothing. Not by node:readline,
 * which decodes bad UTF-8 to something else, and splits where JSON does not: at U+2028 and U+2029.
 * @param longest bytes
 */
export async function* linesOf(source: AsyncIterable<Uint8Array>, longest: number): AsyncGenerator<Line> {
  let parts: Uint8Array[] = []
  let length = 0
  let number = 0
  const add = (part: Uint8Array) => {
    length += part.length
    if (length <= longest) parts.push(part)
    else parts = []
  }
  const take = (): Line => {
    const bytes = length <= longest ? Buffer.concat(parts) : undefined
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
