import { requestText, type Workload } from './load.ts'
import { password, type Seeded } from './seed.ts'

/** A request that is the same each time. */
function same(status: number, ...[method, path, rest]: Parameters<typeof requestText>): Workload {
  const text = requestText(method, path, rest)
  return { status, request: () => text }
}

/** What is measured, as requests of one user. */
export function workloadsOf(
  { reader, refreshTokens, emails }: Seeded,
  { token, key }: { token: string; key: string },
  taskId: number,
) {
  const path = `/api/${reader}/tasks`
  const wrong = `${token.slice(0, -4)}AAAA`
  return {
    list: same(200, 'GET', `${path}?limit=20`, { token }),
    listByKey: same(200, 'GET', `${path}?limit=20`, { token: key }),
    read: same(200, 'GET', `${path}/${taskId}`, { token }),
    create: same(201, 'POST', path, { token, body: { title: 'Buy milk', description: 'Two litres' } }),
    me: same(200, 'GET', '/api/auth/me', { token }),
    /** What a gateway asks before each request, with the headers that it adds. */
    verify: same(200, 'GET', `/gateway/verify?user_id=${reader}`, { token }),
    'verify, refused token': same(401, 'GET', `/gateway/verify?user_id=${reader}`, { token: wrong }),
    'verify, no token': same(401, 'GET', `/gateway/verify?user_id=${reader}`),
    'refused token': same(401, 'GET', `${path}?limit=20`, { token: wrong }),
    login: eachWith(200, (connection) =>
      requestText('POST', '/api/auth/login', {
        body: { email: emails[connection % emails.length], password },
      }),
    ),
    argon2: same(200, 'POST', '/argon2', { body: { password } }),
    /** Two, for two sides that must not use up each other's tokens. */
    refresh: [refreshing(refreshTokens, 0), refreshing(refreshTokens, 1)] as const,
    /** Each request from another address. */
    listFromAnywhere: eachWith(200, () =>
      withHeader(requestText('GET', `${path}?limit=20`, { token }), `X-Forwarded-For: ${randomAddress()}`),
    ),
  }
}

function eachWith(status: number, request: (connection: number) => Buffer): Workload {
  return { status, request }
}

function withHeader(request: Buffer, header: string): Buffer {
  return Buffer.from(request.toString().replace('\r\n', `\r\n${header}\r\n`))
}

function randomAddress(): string {
  const part = () => Math.floor(Math.random() * 250) + 1
  return `11.${part()}.${part()}.${part()}`
}

/** Each request sends the refresh token of the previous response, over all rounds. */
function refreshing(tokens: readonly string[], side: number): Workload {
  const current = tokens.filter((_, at) => at % 2 === side)
  return {
    status: 200,
    onAnswer(connection, body) {
      current[connection] = JSON.parse(body).refresh_token
    },
    request(connection) {
      return requestText('POST', '/api/auth/refresh', { body: { refresh_token: current[connection] } })
    },
  }
}
