/** Where the Latchkey is, and the client that asks it: its entry in SERVICE_CLIENTS has `admin:read` and `admin:write`. */
export interface Desk {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
}

const usage = `usage: admin.js list [email]
       admin.js ban <user id> <reason> [until, RFC 3339]
       admin.js unban <user id>
       admin.js invite <email> [name]`

interface User {
  readonly id: string
  readonly email: string | null
  readonly name: string
  readonly ban: { readonly until: string | null; readonly reason: string } | null
}

/** Runs one command. @returns the lines to print. @throws Error with a sentence for the operator */
export async function admin(desk: Desk, [command, ...args]: readonly string[]): Promise<string[]> {
  const [first, second, third] = args
  const path = `/api/admin/users/${encodeURIComponent(first ?? '')}`
  if (command === 'list' && args.length <= 1) return list(desk, first)
  if (command === 'ban' && first && second && args.length <= 3) {
    await call(desk, 'admin:write', `${path}/ban`, { reason: second, ...(third ? { until: third } : {}) })
    return [`${first} is banned`]
  }
  if (command === 'unban' && first && args.length === 1) {
    await call(desk, 'admin:write', `${path}/unban`, undefined, 'POST')
    return [`${first} is not banned`]
  }
  if (command === 'invite' && first && args.length <= 2) {
    const body = { email: first, ...(second ? { name: second } : {}) }
    const answer = await call(desk, 'admin:write', '/api/admin/invitations', body)
    const { id } = (await answer.json()) as User
    return [`${first} is invited as ${id}`]
  }
  throw new Error(usage)
}

/** Every page, by the link to the next. */
async function list(desk: Desk, email: string | undefined): Promise<string[]> {
  const lines: string[] = []
  let path = `/api/admin/users?limit=100${email ? `&email=${encodeURIComponent(email)}` : ''}`
  while (path) {
    const answer = await call(desk, 'admin:read', path)
    for (const user of (await answer.json()) as User[]) lines.push(lineOf(user))
    path = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1] ?? ''
  }
  return lines
}

function lineOf({ id, email, name, ban }: User): string {
  const state = ban ? `banned until ${ban.until ?? 'lifted'}: ${ban.reason}` : 'active'
  return [id, email ?? '-', name, state].join('\t')
}

async function call(
  desk: Desk,
  scope: string,
  path: string,
  body?: object,
  method = body ? 'POST' : 'GET',
): Promise<Response> {
  const answer = await fetch(new URL(path, desk.url), {
    method,
    headers: {
      authorization: `Bearer ${await tokenFor(desk, scope)}`,
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (answer.ok) return answer
  const { detail, errors = [] } = (await answer.json()) as {
    detail: string
    errors?: { path: string; message: string }[]
  }
  const fields = errors.map(({ path, message }) => `; ${path} ${message}`).join('')
  throw new Error(`${answer.status}: ${detail}${fields}`)
}

/** An access token with no more than the scope (RFC 6749 section 4.4), so that the secret is sent to one route only. */
async function tokenFor({ url, clientId, clientSecret }: Desk, scope: string): Promise<string> {
  const answer = await fetch(new URL('/oauth/token', url), {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
  })
  const { access_token: token, detail } = (await answer.json()) as { access_token?: string; detail?: string }
  if (!token) throw new Error(`no token for ${scope}: ${answer.status} ${detail}`)
  return token
}

if (import.meta.filename === process.argv[1]) {
  const {
    LATCHKEY_URL: url = 'http://127.0.0.1:8000',
    LATCHKEY_CLIENT_ID: clientId = '',
    LATCHKEY_CLIENT_SECRET: clientSecret = '',
  } = process.env
  try {
    const lines = await admin({ url, clientId, clientSecret }, process.argv.slice(2))
    for (const line of lines) process.stdout.write(`${line}\n`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
