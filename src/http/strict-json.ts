const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Member names of prototype pollution. */
const poisonous = new Set(['constructor', 'prototype'])

/**
 * Parses I-JSON (RFC 7493 section 2): UTF-8 without a byte order mark, no duplicate member name, no lone surrogate; and no
 * member name of prototype pollution. Texts that two parsers read differently are refused (parser differential).
 * @throws SyntaxError whose message contains nothing of the input
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const { value, fault } = parseUnambiguousJson(bytes)
  if (fault !== undefined) throw new SyntaxError(fault)
  return value
}

interface UnambiguousJson {
  readonly value: unknown
  /** Why it is not strict JSON; undefined when it is. */
  readonly fault: string | undefined
}

/**
 * The same for foreign tokens, which may have any further members: `constructor`, `prototype` and lone surrogates are
 * reported, not refused.
 * @throws SyntaxError whose message contains nothing of the input
 */
export function parseUnambiguousJson(bytes: Uint8Array): UnambiguousJson {
  let text: string
  let value: unknown
  try {
    text = decoder.decode(bytes)
    value = JSON.parse(text)
  } catch {
    throw new SyntaxError('not JSON in UTF-8')
  }
  const isPoisonous = assertUniqueNames(text)
  // Valid UTF-8 has no surrogates, so a lone one can only come from an escape.
  const isWellFormed = !text.includes('\\u') || hasOnlyWellFormedText(value)
  if (isPoisonous) return { value, fault: 'forbidden member name' }
  return { value, fault: isWellFormed ? undefined : 'lone surrogate' }
}

/**
 * Walks a text already known to be JSON; iterative, since nesting may overflow the stack.
 * @returns whether it has a poisonous name
 */
function assertUniqueNames(text: string): boolean {
  const scopes: (Set<string> | null)[] = []
  let expectName = false
  let isPoisonous = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '"') {
      const start = at++
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
      if (expectName) {
        const name: string = JSON.parse(text.slice(start, at + 1))
        addName(scopes.at(-1), name)
        isPoisonous ||= poisonous.has(name)
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
  return isPoisonous
}

function addName(names: Set<string> | null | undefined, name: string): void {
  if (names?.has(name)) throw new SyntaxError('duplicate member name')
  if (name === '__proto__') throw new SyntaxError('forbidden member name')
  names?.add(name)
}

function hasOnlyWellFormedText(root: unknown): boolean {
  const pending = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value === 'string') {
      if (!value.isWellFormed()) return false
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, member] of Object.entries(value)) pending.push(name, member)
    }
  }
  return true
}
