/** The strong validator of a version, RFC 9110 section 8.8.3. */
export function etagOf(version: number): string {
  return `"${version}"`
}

/** The versions of a list of entity tags; `*` is any. */
type Versions = readonly number[] | '*'

/** Parsed `If-Match` and `If-None-Match`; undefined for an absent header. */
export interface Preconditions {
  readonly ifMatch: Versions | undefined
  readonly ifNoneMatch: Versions | undefined
}

interface ConditionalHeaders {
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
}

export function preconditionsOf(headers: ConditionalHeaders): Preconditions {
  return {
    ifMatch: versionsIn(headers['if-match'], false),
    ifNoneMatch: versionsIn(headers['if-none-match'], true),
  }
}

/** A list element, an entity tag or `*`, with its separator. A tag may contain commas. */
const element = /[ \t]*(?:(?:(\*)|(?:W\/)?"([\x21\x23-\x7e\x80-\xff]*)")[ \t]*)?(?:,|$)/y

/**
 * A version, with the suffix of a compressing gateway: nginx and HAProxy weaken the tag, Apache appends the coding. A
 * version identifies the state of a resource and not its bytes, so it still matches.
 */
const versionTag = /^([1-9]\d{0,8})(?:--?(?:gzip|br|zstd|deflate))?$/

/**
 * Foreign tags and malformed headers match no version.
 * @param starInList whether `*` counts within a list, where a gateway joined two headers: it must fail then
 */
function versionsIn(header: string | undefined, starInList: boolean): Versions | undefined {
  if (header === undefined) return undefined
  if (header.trim() === '*') return '*'
  const versions: number[] = []
  element.lastIndex = 0
  while (element.lastIndex < header.length) {
    const [matched, star, tag = ''] = element.exec(header) ?? []
    if (matched === undefined) return []
    if (star) return starInList ? '*' : []
    const [, version] = versionTag.exec(tag) ?? []
    if (version) versions.push(Number(version))
  }
  return versions
}

/** 412, or 304 for a read. */
export type Refusal = 'failed' | 'not_modified'

/** Evaluates preconditions on an existing resource, in the order of RFC 9110 section 13.2.2. */
export function refusalOf({ ifMatch, ifNoneMatch }: Preconditions, version: number): Refusal | undefined {
  if (ifMatch !== undefined && !includes(ifMatch, version)) return 'failed'
  if (ifNoneMatch !== undefined && includes(ifNoneMatch, version)) return 'not_modified'
  return undefined
}

function includes(versions: Versions, version: number): boolean {
  return versions === '*' || versions.includes(version)
}
