/** The strong validator of a version, RFC 9110 section 8.8.3. */
export function etagOf(version: number): string {
  return `"${version}"`
}

/** The versions of a list of entity tags; `*` is any. */
type Versions = readonly number[] | '*'

/** What `If-Match` and `If-None-Match` say; undefined where the header is absent. */
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

/** An element of a list, which is an entity tag or `*`, and what ends it. A tag may have commas in it. */
const element = /[ \t]*(?:(?:(\*)|(?:W\/)?"([\x21\x23-\x7e\x80-\xff]*)")[ \t]*)?(?:,|$)/y

/**
 * Ours: a version, with what a gateway adds when it compresses the body. nginx and HAProxy weaken the tag, Apache
 * appends the coding. A version names the state of a resource and not its bytes, so both still name that version.
 */
const versionTag = /^([1-9]\d{0,8})(?:--?(?:gzip|br|zstd|deflate))?$/

/**
 * Tags that this service did not make, and a header that is malformed, name no version.
 * @param starInList whether `*` counts among others too, where a gateway joined two headers: it must refuse then
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

/** What a request is refused with that came with preconditions: 412, or 304 where it only reads. */
export type Refusal = 'failed' | 'not_modified'

/** Evaluates preconditions on a resource that is there, in the order of RFC 9110 section 13.2.2. */
export function refusalOf({ ifMatch, ifNoneMatch }: Preconditions, version: number): Refusal | undefined {
  if (ifMatch !== undefined && !includes(ifMatch, version)) return 'failed'
  if (ifNoneMatch !== undefined && includes(ifNoneMatch, version)) return 'not_modified'
  return undefined
}

function includes(versions: Versions, version: number): boolean {
  return versions === '*' || versions.includes(version)
}
