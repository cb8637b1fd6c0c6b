import { randomUUID } from 'node:crypto'
import {
  parseRefreshToken,
  refreshKeys,
  refreshToken,
  verifiesRefreshToken,
} from '../../src/sessions/refresh-token.ts'
import type { Query } from './database.ts'
import { signToken } from './token.ts'

const find = `select s.salt, u.id, u.email, u.name, u.email_verified, u.created_at
  from sessions s join users u on u.id = s.user_id where s.id = $1 and s.idle_expires_at > now()`
const rotate = `update sessions set generation = generation + 1, last_used_at = now(),
  idle_expires_at = least(expires_at, now() + interval '14 days')
  where id = $1 and generation = $2 returning generation`

/** A refresh in two statements: one to check the token by, one to rotate. */
export function refreshBy(query: Query, { SECRET_KEY = '', ISSUER }: NodeJS.ProcessEnv) {
  const keys = refreshKeys(SECRET_KEY, undefined)
  return async (body: Record<string, unknown>): Promise<string> => {
    const presented = parseRefreshToken(String(body['refresh_token']))
    if (!presented) throw new Error('not a refresh token')
    const [known] = await query('find', find, [presented.sessionId])
    if (!known) throw new Error('no such session')
    const { salt, ...user } = known as { salt: Uint8Array; id: string }
    if (!verifiesRefreshToken(keys, presented, salt)) throw new Error('not its token')
    const [rotated] = await query('rotate', rotate, [presented.sessionId, presented.generation])
    if (!rotated) throw new Error('used before')
    const now = Math.floor(Date.now() / 1000)
    const session = { sessionId: presented.sessionId, generation: Number(rotated['generation']) }
    const claims = { iss: ISSUER, aud: ISSUER, sub: user.id, sid: session.sessionId, jti: randomUUID() }
    return JSON.stringify({
      user,
      token: signToken(SECRET_KEY, { ...claims, iat: now, exp: now + 900 }),
      token_type: 'Bearer',
      expires_in: 900,
      refresh_token: refreshToken(keys, session, salt),
    })
  }
}
