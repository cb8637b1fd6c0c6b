import { Problem } from '../problem.ts'
import type { Service } from '../tokens/service.ts'

/** The scopes of service clients that routes of this service ask for. */
export const knownScopes = ['introspect', 'revocations:read', 'events:read', 'admin:read', 'admin:write']

/**
 * The client, narrowed to the scopes that it asks for (RFC 6749 section 3.3).
 * @param wanted separated by one space; undefined: all of them
 * @throws Problem invalid_scope
 */
export function narrowed({ id, scopes }: Service, wanted: string | undefined): Service {
  if (wanted === undefined) return { id, scopes }
  const asked = [...new Set(wanted.split(' '))]
  if (!asked.every((scope) => scopes.includes(scope))) throw new Problem('invalid_scope')
  return { id, scopes: asked }
}
