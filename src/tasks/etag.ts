/** The strong validator of a task's version, RFC 9110 section 8.8.3. */
export function etagOf(version: number): string {
  return `"${version}"`
}

/** No task has this version. */
const none = 0

/**
 * The versions that an `If-Match` header names (RFC 9110 section 13.1.1), undefined for no condition: the header
 * is absent or `*`. Weak validators never match, and what this service could not have made matches nothing.
 */
export function versionsIn(ifMatch: string | undefined): number[] | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined
  const versions = ifMatch
    .split(',', 16)
    .map((tag) => Number(/^\s*"([1-9]\d{0,8})"\s*$/.exec(tag)?.[1] ?? none))
  return versions
}
