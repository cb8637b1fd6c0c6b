/** The path of PUBLIC_URL without a trailing slash; empty without a path. */
export function basePathOf(publicUrl: string): string {
  return new URL(publicUrl).pathname.replace(/\/$/, '')
}

/** Scheme and host of the absolute form (RFC 9112 section 3.2.2). */
const authority = /^[^/?#]*:(?:\/\/[^/?#]*)?/

/** The path of a request target with its query, for a target in absolute form too. */
export function pathOfTarget(target: string): string {
  return target.startsWith('/') ? target : target.replace(authority, '')
}

/** Documents whose URL has the path of an issuer behind its own (RFC 8414 section 3.1). */
const metadataPaths = ['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server']

/** Removes the path of PUBLIC_URL from behind that of a metadata document; any other target is returned unchanged. */
export function withoutInsertedPath(basePath: string, target: string): string {
  const [, path = '', query = ''] = /^([^?#]*)(.*)$/s.exec(target) ?? []
  const document = metadataPaths.find((each) => path === each + basePath)
  return document === undefined ? target : document + query
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
