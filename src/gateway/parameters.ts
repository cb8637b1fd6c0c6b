import { type Acr, acrValues, type Requirements, requirementsFault } from '../tokens/requirements.ts'
import { type OwnerPattern, parseOwnerPattern } from './owner-pattern.ts'
import { refused } from './refused.ts'
import { plainSegment } from './segment.ts'

/** What a gateway asks of a request. */
export interface Parameters extends Requirements {
  /** `optional` lets a request without a valid token pass, as nobody's. */
  readonly access: 'user' | 'optional'
  /** The segment of the path that names the owner. */
  readonly userId?: string
  /** Where the original path names the owner. */
  readonly owner?: OwnerPattern
}

type Draft = { -readonly [Name in keyof Parameters]: Parameters[Name] }

/** Each sets its field, or returns false. */
const readers: Record<string, (draft: Draft, text: string) => boolean> = {
  access(draft, text) {
    if (text !== 'user' && text !== 'optional') return false
    draft.access = text
    return true
  },
  user_id(draft, text) {
    // The gateway passes a segment as it is in the path, where `+` is no space.
    const segment = plainSegment(text)
    if (segment === undefined) return false
    draft.userId = segment
    return true
  },
  owner(draft, text) {
    const pattern = parseOwnerPattern(decoded(text) ?? '')
    if (!pattern) return false
    draft.owner = pattern
    return true
  },
  scope(draft, text) {
    const scope = decoded(text) ?? ''
    if (requirementsFault({ scope })) return false
    draft.scope = scope
    return true
  },
  max_age(draft, text) {
    if (!/^(0|[1-9]\d{0,9})$/.test(text)) return false
    draft.maxAge = Number(text)
    return true
  },
  acr(draft, text) {
    if (!acrValues.includes(text as Acr)) return false
    draft.acr = text as Acr
    return true
  },
}

/**
 * Parses the parameters of a question, in query syntax. Each at most once, and none that is unknown: of two readings of
 * a gateway's file, neither may be the more lenient one.
 * @throws Problem not_owner
 */
export function parseParameters(query: string): Parameters {
  // A fragment is never sent; where one is, it hides the parameters behind it from a reader that drops it.
  if (query.includes('#')) throw refused('invalid_parameters')
  const draft: Draft = { access: 'user' }
  const seen = new Set<string>()
  for (const piece of query.split('&')) {
    if (piece === '') continue
    const end = piece.indexOf('=')
    const name = decoded(end === -1 ? piece : piece.slice(0, end)) ?? ''
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (!read) throw refused('unknown_parameter')
    if (seen.has(name)) throw refused('repeated_parameter')
    seen.add(name)
    if (!read(draft, end === -1 ? '' : piece.slice(end + 1))) {
      throw refused(`invalid_${name as 'access'}`)
    }
  }
  return draft
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
