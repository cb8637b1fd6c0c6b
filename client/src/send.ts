import type { Keeper } from './keeper.ts'
import { codeOf } from './problem.ts'
import type { StepUp } from './step-up.ts'
import type { KeptSession } from './storage.ts'

export type Fetch = (request: Request) => Promise<Response>

interface Sent {
  readonly answer: Response
  /** The session with which it was sent last. */
  readonly session: KeptSession | null
}

/** Sends a request with the session's token, again after a refresh, and once more after a step-up. */
export async function sendWithSession(
  fetch: Fetch,
  keeper: Keeper,
  stepUp: StepUp | undefined,
  request: Request,
): Promise<Response> {
  if (request.headers.has('authorization')) return fetch(request)
  const spare = stepUp && request.clone()
  const asked = stepUp?.asked() ?? 0
  const { answer, session } = await sendRefreshing(fetch, keeper, request)
  if (!stepUp || !spare || !session || answer.status !== 401) return answer
  if ((await codeOf(answer)) !== 'insufficient_user_authentication') return answer
  const renewed = await stepUp.login(session, answer, asked)
  return renewed ? fetch(authorized(spare, renewed)) : answer
}

async function sendRefreshing(fetch: Fetch, keeper: Keeper, request: Request): Promise<Sent> {
  const session = await keeper.current()
  const spare = request.clone()
  const answer = await fetch(authorized(request, session))
  const sent = { answer, session }
  if (answer.status !== 401 || (await codeOf(answer)) !== 'unauthorized') return sent
  if (!session) {
    // Ended by another tab.
    keeper.end()
    return sent
  }
  const renewal = await keeper.renew(session)
  if (renewal.answer) return isTemporary(renewal.answer) ? { ...sent, answer: renewal.answer.clone() } : sent
  // Never retry the call as another user who has logged in meanwhile.
  if (renewal.session?.user.id !== session.user.id) return sent
  return { answer: await fetch(authorized(spare, renewal.session)), session: renewal.session }
}

function authorized(request: Request, session: KeptSession | null): Request {
  if (session) request.headers.set('authorization', `Bearer ${session.token}`)
  return request
}

function isTemporary({ status }: Response): boolean {
  return status === 429 || status >= 500
}

/** Two attempts must fit into the 10 seconds in which a repeated refresh gets the same answer. */
const attemptMs = 4_000

/** Exchanges a refresh token at the service. */
export async function exchange(fetch: Fetch, baseUrl: string, refreshToken: string): Promise<Response> {
  const attempt = async () => {
    const answer = await fetch(
      new Request(`${baseUrl.replace(/\/+$/, '')}/api/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refresh_token: refreshToken }),
        signal: AbortSignal.timeout(attemptMs),
      }),
    )
    await answer.clone().arrayBuffer()
    return answer
  }
  // The response may have been lost after the token was rotated.
  return attempt().catch(attempt)
}
