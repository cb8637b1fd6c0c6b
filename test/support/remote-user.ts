import { randomUUID } from 'node:crypto'
import { post } from './process.ts'

export const password = 'correct horse battery'

/** A user of a service in another process. */
export interface RemoteUser {
  readonly email: string
  readonly token: string
  readonly refreshToken: string
  /** Path of the user's tasks. */
  readonly tasks: string
}

/** The user of a session response. */
export async function userOf(answer: Response): Promise<RemoteUser> {
  const { user, token, refresh_token } = (await answer.json()) as {
    user: { id: string; email: string }
    token: string
    refresh_token: string
  }
  return { email: user.email, token, refreshToken: refresh_token, tasks: `/api/${user.id}/tasks` }
}

/** Signs up a new user at `url`. */
export async function signUpAt(url: string): Promise<RemoteUser> {
  const email = `${randomUUID()}@example.com`
  const answer = await post(`${url}/api/auth/signup`, { email, password, name: 'Test User' })
  if (answer.status !== 201) throw new Error(`signup answered ${answer.status}`)
  return userOf(answer)
}

export function get(url: string, { token }: Pick<RemoteUser, 'token'>): Promise<Response> {
  return fetch(url, { headers: { authorization: `Bearer ${token}` } })
}

/** The titles of all tasks of a user, page by page. */
export async function titlesAt(url: string, user: RemoteUser): Promise<string[]> {
  const titles: string[] = []
  for (let next: string | undefined = `${user.tasks}?limit=100`; next; ) {
    const page = await get(`${url}${next}`, user)
    titles.push(...((await page.json()) as { title: string }[]).map(({ title }) => title))
    next = /<([^>]+)>/.exec(page.headers.get('link') ?? '')?.[1]
  }
  return titles
}
