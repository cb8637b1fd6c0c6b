let base = ''
let authorization: Record<string, string> = {}

export function use(url: string, token?: string): void {
  base = url
  authorization = token ? { authorization: `Bearer ${token}` } : {}
}

/** Called by the generated functions; adds the base URL and the token. */
export async function send<T>(path: string, options: RequestInit): Promise<T> {
  const headers = { ...options.headers, ...authorization }
  // A redirect would send the body, perhaps with a password, to another origin.
  const answer = await fetch(base + path, { ...options, headers, redirect: 'error' })
  const text = await answer.text()
  return { data: text ? JSON.parse(text) : undefined, status: answer.status, headers: answer.headers } as T
}
