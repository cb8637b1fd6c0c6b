import { refused } from './refused.ts'
import { plainSegment } from './segment.ts'

/** The beginning of a path, with one segment that names the owner. */
export interface OwnerPattern {
  /** Undefined in the owner's place. */
  readonly segments: readonly (string | undefined)[]
}

/** The name that the owner's segment has, as in the routes of this service. */
const placeholder = ':user_id'

/** @returns undefined for what is no pattern, such as one without `:user_id` or with another parameter */
export function parseOwnerPattern(text: string): OwnerPattern | undefined {
  const [root, ...parts] = text.split('/')
  if (root !== '' || parts.filter((part) => part === placeholder).length !== 1) return undefined
  const literals = parts.filter((part) => part !== placeholder)
  if (literals.some((part) => part.startsWith(':') || plainSegment(part) !== part)) return undefined
  return { segments: parts.map((part) => (part === placeholder ? undefined : part)) }
}

/**
 * The owner that a path names. It is split before it is decoded, and every segment counts, also those behind the
 * pattern: a `..` there leads to another owner.
 * @throws Problem not_owner
 */
export function ownerIn({ segments }: OwnerPattern, path: string): string {
  const found = path.slice(1).split('/').map(plainSegment)
  if (found.includes(undefined)) throw refused('original_path_invalid')
  const owner = found[segments.indexOf(undefined)]
  const matches = segments.every((segment, at) => segment === undefined || segment === found[at])
  if (!matches || owner === undefined) throw refused('original_path_unmatched')
  return owner
}
