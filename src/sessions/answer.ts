import type { User } from '../users/user.ts'
import type { SignedIn } from './opening.ts'
import type { SessionPolicy } from './policy.ts'
import { refreshToken } from './refresh-token.ts'
import type { Session } from './repository.ts'

/** What a client gets of an open session. */
export interface SessionAnswer {
  readonly user: User
  readonly token: string
  readonly token_type: 'Bearer'
  readonly expires_in: number
  readonly refresh_token: string
}

interface AnswerDeps {
  readonly sessionPolicy: SessionPolicy
  issueAccessToken(
    userId: string,
    session: Session,
    secondsLeft: number,
  ): { readonly token: string; readonly expiresIn: number }
}

export function sessionAnswer(deps: AnswerDeps, { user, session }: SignedIn): SessionAnswer {
  const { id, generation, salt } = session
  const { token, expiresIn } = deps.issueAccessToken(user.id, session, secondsLeft(session))
  return {
    user,
    token,
    token_type: 'Bearer',
    expires_in: expiresIn,
    refresh_token: refreshToken(deps.sessionPolicy.refreshKeys, { sessionId: id, generation }, salt),
  }
}

/** Seconds from a session's latest use, which was just now, to its absolute end; by the database's clock alone. */
function secondsLeft({ last_used_at: from, expires_at: to }: Session): number {
  return Math.max(1, Math.floor((Date.parse(to) - Date.parse(from)) / 1000))
}
