const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Member names that reach an object's prototype where code copies members carelessly. */
const poisonous = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Parses JSON as RFC 8259 and I-JSON (RFC 7493 section 2) ask of an exchange between strangers: UTF-8 without
 * a byte order mark, no duplicate member name, no lone surrogate; and no name that reaches a prototype.
 * Two parsers that read such a text differently are how a gateway and a service come to disagree on who asks.
 * @throws SyntaxError whose message holds nothing of the input
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string
  let value: unknown
  try {
    text = decoder.decode(bytes)
    value = JSON.parse(text)
  } catch {
    throw new SyntaxError('not JSON in UTF-8')
  }
  assertUniqueNames(text)
  // Valid UTF-8 holds no surrogate, so a lone one can only come from an escape.
  if (text.includes('\\u')) assertWellFormed(value)
  return value
}

/** Walks a text already known to be JSON; iterative, since depth is the sender's choice. */
function assertUniqueNames(text: string): void {
  const scopes: (Set<string> | null)[] = []
  let expectName = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      const start = at++
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
      if (expectName) {
        addName(scopes.at(-1), JSON.parse(text.slice(start, at + 1)))
        expectName = false
      }
    } else if (character === '{') {
      scopes.push(new Set())
      expectName = true
    } else if (character === '[') {
      scopes.push(null)
      expectName = false
    } else if (character === '}' || character === ']') {
      scopes.pop()
      expectName = false
    } else if (character === ',') {
      expectName = scopes.at(-1) instanceof Set
    }
  }
}

function addName(names: Set<string> | null | undefined, name: string): void {
  if (names?.has(name)) throw new SyntaxError('duplicate member name')
  if (poisonous.has(name)) throw new SyntaxError('forbidden member name')
  names?.add(name)
}

function assertWellFormed(root: unknown): void {
  const pending = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value === 'string') {
      if (!value.isWellFormed()) throw new SyntaxError('lone surrogate')
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) pending.push(name, member)
    }
  }
}
