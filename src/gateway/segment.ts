/**
 * A decoded path segment that every server reads alike; undefined for one that a service behind the gateway may read as
 * another path (parser differential): dot segments, an encoded separator, a path parameter, a second encoding.
 */
export function plainSegment(encoded: string): string | undefined {
  let segment: string
  try {
    segment = decodeURIComponent(encoded)
  } catch {
    return undefined
  }
  return segment === '' || segment === '.' || segment === '..' || /[/\\;%\0]/.test(segment)
    ? undefined
    : segment
}
