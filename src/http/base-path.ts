/** The path of PUBLIC_URL without a slash at its end; empty where the service has a host of its own. */
export function basePathOf(publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/\/$/, '')
}

/**
 * A request target as the routes have it, from a gateway that keeps the prefix. Removed once, to the letter, and only
 * up to the end of a segment: another spelling of it is another path, and no route.
 * @param isPath whether there is a route at a target as it is: then a gateway has removed a prefix such as `/api`
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
