/** The path of PUBLIC_URL without a trailing slash; empty without a path. */
export function basePathOf(publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/\/$/, '')
}

/**
 * Removes the prefix that a gateway has kept: once, by exact comparison, and only up to the end of a segment, so that no
 * other spelling of it leads around the guard.
 * @param isPath whether a route has a target as it is: then the gateway has removed a prefix such as `/api` already
 */
export function withoutBasePath(
  basePath: string,
  target: string,
  isPath: (target: string) => boolean,
): string {
  if (!target.startsWith(basePath)) return target
  const rest = target.slice(basePath.length)
  if (rest !== '' && !/^[/?#]/.test(rest)) return target
  if (isPath(target)) return target
  return rest.startsWith('/') ? rest : `/${rest}`
}
