import { headerValues } from '../http/raw-headers.ts'
import { refused } from './refused.ts'

/** The headers in which gateways pass the original target: Traefik and Caddy, nginx, ingress-nginx. */
export const originalTargetHeaders = ['x-forwarded-uri', 'x-original-uri', 'x-original-url'] as const

/**
 * The original path, undecoded and without its query, from every place in which one was passed.
 * @param appended what the gateway has appended to the path of the question (Envoy)
 * @throws Problem not_owner when there is none, or two that differ: then one of them may be the client's
 */
export function originalPath(rawHeaders: readonly string[], appended: string | undefined): string {
  const targets = originalTargetHeaders.flatMap((name) => headerValues(rawHeaders, name))
  if (appended !== undefined) targets.push(appended)
  const [path, ...others] = targets.map(pathOf)
  if (path === undefined) throw refused('original_path_missing')
  if (others.some((other) => other !== path)) throw refused('original_path_differs')
  return path
}

/** The host as gateways write it into an absolute URL; nothing that could begin a path. */
const absolute = /^https?:\/\/[A-Za-z0-9.:_[\]-]+(?=\/)/

/** @throws Problem not_owner */
function pathOf(target: string): string {
  const path = target.replace(absolute, '').replace(/\?.*$/s, '')
  if (!path.startsWith('/') || path.includes('#')) throw refused('original_path_invalid')
  return path
}
