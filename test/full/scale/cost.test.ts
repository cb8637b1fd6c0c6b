import { readFileSync } from 'node:fs'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import { newValues } from '../../../src/owned/item.ts'
import type { Resource } from '../../../src/owned/resource.ts'
import { resources } from '../../../src/resources/index.ts'
import type { OwnerId } from '../../../src/tokens/owner.ts'
import { migratedDatabase, password, registeredRoutes, signUp, type TestUser, testApp } from '../../helper.ts'
import { enrol, setUp } from '../../support/authenticator.ts'
import { exampleOfResource, filterValues, routesOfResource, servedResources } from '../../support/examples.ts'
import { post, tokenTo } from '../../support/mailbox.ts'
import { basic, form, serviceClients } from '../../support/service-client.ts'

/** Bounds of one request on any route; generous, since machines differ. */
const bounds = {
  /** Milliseconds of busy event loop. */
  loopMs: 25,
  /** Rows returned by the driver. */
  rows: 110,
  /** Bytes of rows added. */
  storedBytes: 8 * 1024,
}

/** Added for each statement: the embedded database runs on the same thread. */
const loopMsOfStatement = 3

/** Per entry; the best counts, since background work may fall into any of them. */
const batches = 2

interface Ask extends Omit<InjectOptions, 'method'> {
  /** Default: any status below 400. */
  readonly status?: number
  readonly token?: string
}

interface Entry {
  /** Including those of the mails that it causes. */
  readonly statements: number
  /** Prepares the next request, unmeasured. */
  readonly ask: (setup: Setup, n: number) => Ask | Promise<Ask>
  /** Requests per batch; few where they hash a password. */
  readonly repetitions?: number
  /** Allowed besides {@link bounds}. */
  readonly loopMs?: number
}

interface Setup {
  readonly app: FastifyInstance
  /** Owns hundreds of rows. */
  readonly alice: TestUser
  /** Logs in repeatedly. */
  readonly carol: TestUser
  /** Of her resources, by name. */
  readonly ids: Readonly<Record<string, number[]>>
}

const open = (url: string, status?: number): Entry => ({
  statements: 0,
  ask: () => ({ url, ...(status ? { status } : {}) }),
})
/** A body of its example; of tasks, one that takes more to store. */
function bodyOf(resource: Resource): object {
  const long = { title: '\u{1f4dd}'.repeat(100), description: '\u{1f4dd}'.repeat(500), completed: true }
  return resource.name === 'tasks' ? long : exampleOfResource(resource)
}

/** Of each, one statement. */
function entriesOfResource(resource: Resource): Record<string, Entry> {
  const { name, filters } = resource
  const queries = [
    '',
    ...filters.flatMap((filter) => filterValues(filter).map((v) => `&${filter.name}=${v}`)),
  ]
  const url = ({ alice }: Setup) => `/api/${alice.id}/${name}`
  const oneOf = (setup: Setup) => `${url(setup)}/${setup.ids[name]?.[0]}`
  const ask: Record<string, Entry['ask']> = {
    list: (setup, n) => ({ url: `${url(setup)}?limit=100${queries[n % queries.length]}` }),
    create: (setup) => ({ url: url(setup), payload: bodyOf(resource), status: 201 }),
    read: (setup) => ({ url: oneOf(setup) }),
    change: (setup) => ({ url: oneOf(setup), payload: bodyOf(resource) }),
    delete: (setup) => ({ url: `${url(setup)}/${setup.ids[name]?.pop()}`, status: 204 }),
  }
  return Object.fromEntries(
    routesOfResource(resource).map(({ name, operation }): [string, Entry] => [
      name,
      {
        statements: 1,
        ask: async (setup, n) => ({
          status: 200,
          token: setup.alice.token,
          ...(await ask[operation]?.(setup, n)),
        }),
      },
    ]),
  )
}

/** An action of the admin API on a new user. */
const adminAction = (action: string, statements: number, payload?: object): Entry => ({
  repetitions: 2,
  statements,
  ask: async (setup) => ({
    method: 'POST',
    url: `/api/admin/users/${(await newUser(setup)).id}/${action}`,
    ...(payload ? { payload } : {}),
    headers: { authorization: basic('gateway') },
    status: 204,
  }),
})

async function newUser({ app }: Setup): Promise<TestUser> {
  return signUp(app, 'dave')
}

async function newEnrolled(setup: Setup) {
  const user = await newUser(setup)
  return { ...user, ...(await enrol(user)) }
}

async function login({ app, carol }: Setup) {
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email: carol.email, password },
  })
  return answer.json() as { token: string; refresh_token: string }
}

/** Every registered route must be here. HEAD costs what GET costs, and the pages of /docs have one entry. */
const entries: Record<string, Entry> = {
  'POST /api/auth/signup': {
    repetitions: 2,
    statements: 18,
    ask: (_, n) => ({
      url: '/api/auth/signup',
      payload: { email: `new.${n}.${Math.random()}@example.com`, password, name: 'x'.repeat(100) },
      status: 201,
    }),
  },
  'POST /api/auth/login': {
    repetitions: 2,
    statements: 8,
    ask: ({ carol }) => ({
      url: '/api/auth/login',
      payload: { email: carol.email, password },
      status: 200,
    }),
  },
  'POST /api/auth/login/second-factor': {
    repetitions: 2,
    statements: 18,
    ask: async (setup) => {
      const { email, recoveryCodes } = await newEnrolled(setup)
      const { mfa_token } = (await post(setup.app, 'login', { email, password })).json()
      const payload = { mfa_token, code: recoveryCodes[0] }
      return { url: '/api/auth/login/second-factor', payload, status: 200 }
    },
  },
  'POST /api/auth/reauthenticate': {
    repetitions: 2,
    statements: 16,
    ask: async (setup) => {
      const { token, recoveryCodes } = await newEnrolled(setup)
      const payload = { password, code: recoveryCodes[0] }
      return { url: '/api/auth/reauthenticate', payload, token, status: 200 }
    },
  },
  'GET /api/auth/mfa': {
    statements: 1,
    ask: ({ alice }) => ({ url: '/api/auth/mfa', token: alice.token, status: 200 }),
  },
  'POST /api/auth/mfa/totp': {
    repetitions: 2,
    statements: 7,
    ask: async (setup) => {
      const { token } = await newUser(setup)
      return { url: '/api/auth/mfa/totp', payload: { password }, token, status: 200 }
    },
  },
  'POST /api/auth/mfa/totp/confirm': {
    repetitions: 2,
    statements: 16,
    ask: async (setup) => {
      const user = await newUser(setup)
      const payload = { code: (await setUp(user)).code() }
      return { url: '/api/auth/mfa/totp/confirm', payload, token: user.token, status: 200 }
    },
  },
  'POST /api/auth/mfa/totp/delete': {
    repetitions: 2,
    statements: 20,
    ask: async (setup) => {
      const { token, recoveryCodes } = await newEnrolled(setup)
      const payload = { code: recoveryCodes[0] }
      return { url: '/api/auth/mfa/totp/delete', payload, token, status: 204 }
    },
  },
  'POST /api/auth/mfa/recovery-codes': {
    repetitions: 2,
    statements: 16,
    ask: async (setup) => {
      const { token, recoveryCodes } = await newEnrolled(setup)
      const payload = { code: recoveryCodes[0] }
      return { url: '/api/auth/mfa/recovery-codes', payload, token, status: 200 }
    },
  },
  'POST /api/auth/refresh': {
    repetitions: 2,
    statements: 4,
    ask: async (setup) => ({
      url: '/api/auth/refresh',
      payload: { refresh_token: (await login(setup)).refresh_token },
      status: 200,
    }),
  },
  'POST /api/auth/logout': {
    repetitions: 2,
    statements: 6,
    ask: async (setup) => ({
      url: '/api/auth/logout',
      payload: { scope: 'others' },
      token: (await newUser(setup)).token,
      status: 204,
    }),
  },
  'GET /api/auth/sessions': {
    statements: 1,
    ask: ({ alice }) => ({ url: '/api/auth/sessions', token: alice.token, status: 200 }),
  },
  'DELETE /api/auth/sessions/:session_id': {
    repetitions: 2,
    statements: 6,
    ask: async (setup) => {
      const { token } = await login(setup)
      const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
      return { url: `/api/auth/sessions/${sid}`, token, status: 204 }
    },
  },
  'PUT /api/auth/password': {
    repetitions: 2,
    statements: 14,
    ask: async (setup) => ({
      url: '/api/auth/password',
      payload: { current_password: password, new_password: `${password} again` },
      token: (await newUser(setup)).token,
      status: 204,
    }),
  },
  'POST /api/auth/password/forgot': {
    statements: 8,
    ask: ({ alice }) => ({
      url: '/api/auth/password/forgot',
      payload: { email: alice.email },
      status: 202,
    }),
  },
  'POST /api/auth/password/reset': {
    repetitions: 2,
    // Of an unverified address: what another party may have stored is removed, API keys included.
    statements: 19 + 2 * resources.length,
    ask: async (setup) => {
      const { email } = await newUser(setup)
      await setup.app.inject({ method: 'POST', url: '/api/auth/password/forgot', payload: { email } })
      const token = await tokenTo(setup.app, email)
      const payload = { token, new_password: `${password} again` }
      return { url: '/api/auth/password/reset', payload, status: 204 }
    },
  },
  'PUT /api/auth/email': {
    repetitions: 2,
    statements: 14,
    ask: async (setup) => {
      const { token, email } = await newUser(setup)
      const payload = { new_email: `x.${email}`, password }
      return { url: '/api/auth/email', payload, token, status: 202 }
    },
  },
  'POST /api/auth/email/verify': {
    repetitions: 2,
    statements: 14,
    ask: async (setup) => {
      const user = await newUser(setup)
      const email = `x.${user.email}`
      await user.call('PUT', '/api/auth/email', { new_email: email, password })
      const token = await tokenTo(setup.app, email)
      return { url: '/api/auth/email/verify', payload: { token }, status: 204 }
    },
  },
  'POST /api/auth/email/resend': {
    statements: 8,
    ask: ({ alice }) => ({ url: '/api/auth/email/resend', payload: { email: alice.email }, status: 202 }),
  },
  'GET /api/auth/me': {
    statements: 1,
    ask: ({ alice }) => ({ url: '/api/auth/me', token: alice.token, status: 200 }),
  },
  // All rows of an account, 100 in a statement: of one that has few.
  'GET /api/auth/me/export': {
    repetitions: 2,
    statements: 15,
    ask: async (setup) => ({ url: '/api/auth/me/export', token: (await newUser(setup)).token, status: 200 }),
  },
  'PATCH /api/auth/me': {
    statements: 2,
    ask: ({ alice }) => ({
      url: '/api/auth/me',
      payload: { name: 'y'.repeat(100) },
      token: alice.token,
      status: 200,
    }),
  },
  'POST /api/auth/me/delete': {
    repetitions: 2,
    statements: 12,
    ask: async (setup) => ({
      url: '/api/auth/me/delete',
      payload: { password },
      token: (await newUser(setup)).token,
      status: 204,
    }),
  },
  'POST /api/auth/keys': {
    statements: 10,
    ask: async (setup) => ({
      url: '/api/auth/keys',
      payload: {
        name: 'x'.repeat(100),
        scopes: Object.values(servedResources[0]?.scopes ?? {}),
        expires_in_days: 365,
      },
      token: (await newUser(setup)).token,
      status: 201,
    }),
  },
  'GET /api/auth/keys': {
    statements: 1,
    ask: ({ alice }) => ({ url: '/api/auth/keys', token: alice.token, status: 200 }),
  },
  'DELETE /api/auth/keys/:key_id': {
    repetitions: 2,
    statements: 6,
    ask: async (setup) => {
      const user = await newUser(setup)
      const payload = { name: 'x', scopes: [servedResources[0]?.scopes.read], expires_in_days: 1 }
      const { id } = (await user.call('POST', '/api/auth/keys', payload)).json()
      return { url: `/api/auth/keys/${id}`, token: user.token, status: 204 }
    },
  },
  ...Object.assign({}, ...resources.map(entriesOfResource)),
  'GET /gateway/verify': {
    statements: 0,
    repetitions: 2,
    ask: ({ alice }) => ({
      url: `/gateway/verify?user_id=${alice.id}`,
      token: alice.token,
      status: 200,
    }),
  },
  'POST /oauth/token': {
    statements: 0,
    ask: () => ({
      ...form('/oauth/token', { grant_type: 'client_credentials' }, { authorization: basic('gateway') }),
      status: 200,
    }),
  },
  'POST /oauth/introspect': {
    statements: 0,
    ask: ({ alice }) => ({
      ...form('/oauth/introspect', { token: alice.token }, { authorization: basic('gateway') }),
      status: 200,
    }),
  },
  'POST /oauth/revoke': {
    repetitions: 2,
    statements: 6,
    ask: async (setup) => ({
      ...form('/oauth/revoke', { token: (await login(setup)).refresh_token }),
      status: 200,
    }),
  },
  'GET /gateway/revocations': {
    statements: 1,
    // Without what the routes before have revoked: an answer has as many rows as there is news.
    ask: async ({ app }) => {
      await app.db.deleteFrom('revocations').execute()
      return { url: '/gateway/revocations', headers: { authorization: basic('gateway') }, status: 200 }
    },
  },
  'GET /api/admin/users': {
    statements: 4,
    ask: () => ({
      url: '/api/admin/users?limit=100',
      headers: { authorization: basic('gateway') },
      status: 200,
    }),
  },
  'GET /api/admin/users/:user_id': {
    statements: 4,
    ask: ({ alice }) => ({
      url: `/api/admin/users/${alice.id}`,
      headers: { authorization: basic('gateway') },
      status: 200,
    }),
  },
  'GET /api/admin/events': {
    statements: 4,
    ask: ({ alice }) => ({
      url: `/api/admin/events?limit=100&user_id=${alice.id}`,
      headers: { authorization: basic('gateway') },
      status: 200,
    }),
  },
  'POST /api/admin/invitations': {
    repetitions: 2,
    statements: 16,
    ask: (_setup, n) => ({
      url: '/api/admin/invitations',
      payload: { email: `invited${n}.${Date.now()}@example.com` },
      headers: { authorization: basic('gateway') },
      status: 201,
    }),
  },
  'POST /api/admin/users/:user_id/ban': adminAction('ban', 10, { reason: 'x'.repeat(500) }),
  'POST /api/admin/users/:user_id/unban': adminAction('unban', 6),
  'POST /api/admin/users/:user_id/sessions/end': adminAction('sessions/end', 6),
  'POST /api/admin/users/:user_id/mfa/reset': {
    repetitions: 2,
    statements: 16,
    ask: async (setup) => ({
      url: `/api/admin/users/${(await newEnrolled(setup)).id}/mfa/reset`,
      headers: { authorization: basic('gateway') },
      status: 204,
    }),
  },
  'POST /api/admin/users/:user_id/delete': adminAction('delete', 9),
  'POST /api/admin/users/:user_id/password/reset': adminAction('password/reset', 14),
  'GET /api/events': {
    statements: 1,
    ask: () => ({ url: '/api/events', headers: { authorization: basic('gateway') }, status: 200 }),
  },
  'GET /.well-known/jwks.json': open('/.well-known/jwks.json'),
  'GET /.well-known/openid-configuration': open('/.well-known/openid-configuration'),
  'GET /.well-known/oauth-authorization-server': open('/.well-known/oauth-authorization-server'),
  'GET /health/live': open('/health/live'),
  'GET /health/ready': { statements: 1, ask: () => ({ url: '/health/ready', status: 200 }) },
  'GET /openapi.json': open('/openapi.json'),
  'GET /openapi.yaml': open('/openapi.yaml'),
  'GET /dev/account': open('/dev/account'),
  'GET /dev/mailbox': open('/dev/mailbox'),
  'GET /dev/mailbox/samples': open('/dev/mailbox/samples'),
  'GET /dev/mailbox/samples/:name/html': open('/dev/mailbox/samples/password_reset/html'),
  'GET /dev/mailbox/:number/html': {
    statements: 0,
    ask: ({ app }) => ({ url: `/dev/mailbox/${app.mailbox?.mails[0]?.number}/html`, status: 200 }),
  },
  'OPTIONS *': {
    statements: 0,
    ask: () => ({
      url: '/api/auth/login',
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' },
      status: 204,
    }),
  },
}

const strangersList = `/api/x/${servedResources[0]?.name}`

/** Requests without a route, or refused by the guard or a schema. */
const refusals: Record<string, [method: string, entry: Entry]> = {
  'no route': ['GET', open('/nowhere', 404)],
  'no route, by OPTIONS': ['OPTIONS', open('/nowhere', 404)],
  'no such method': ['DELETE', open('/health/live', 405)],
  'an empty id': ['DELETE', open(`${strangersList}/`, 404)],
  'no token': ['GET', open(strangersList, 401)],
  'an unknown service client': [
    'POST',
    {
      statements: 0,
      ask: () => ({
        ...form('/oauth/introspect', { token: 'x' }, { authorization: basic('stranger') }),
        status: 401,
      }),
    },
  ],
  "another user's tasks": [
    'GET',
    { statements: 0, ask: ({ alice }) => ({ url: strangersList, token: alice.token, status: 403 }) },
  ],
  'a body that does not fit': [
    'POST',
    {
      statements: 0,
      ask: () => ({ url: '/api/auth/login', payload: { nested: nested(2_000) }, status: 400 }),
    },
  ],
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

function entryOf(method: string, url: string): Entry | undefined {
  const name = method === 'HEAD' ? 'GET' : method
  if (name === 'GET' && /^\/docs(\/|$)/.test(url))
    // More than a megabyte, which the injected request copies as well.
    return { ...open(url.replace('*', 'static/swagger-ui-bundle.js')), loopMs: 50 }
  // Any method costs the same.
  return entries[url === '/gateway/verify' ? `GET ${url}` : `${name} ${url}`]
}

/** Milliseconds of busy event loop, without hashes; on Linux the CPU time of its thread. */
function loopTime(): number {
  try {
    const [, fields = ''] = readFileSync(`/proc/self/task/${process.pid}/stat`, 'utf8').split(') ')
    const [user, system] = fields.split(' ').slice(11, 13)
    // In ticks of 10 ms.
    return 10 * (Number(user) + Number(system))
  } catch {
    return performance.eventLoopUtilization().active
  }
}

/** Counts the statements sent and the rows returned. */
async function countingDatabase(t: Test) {
  const count = { statements: 0, rows: 0 }
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      count.statements++
      count.rows += result.rows.length
      return result
    },
  })
  return { db, count }
}

const tables = [
  'users',
  'sessions',
  'revocations',
  'security_events',
  'events',
  'one_time_tokens',
  'mail_outbox',
  'idempotency_keys',
  'signing_keys',
  'totp_factors',
  'recovery_codes',
  'used_mfa_tokens',
  'api_keys',
  ...resources.flatMap(({ tables }) => tables),
]

async function settled(app: FastifyInstance): Promise<void> {
  await app.securityEvents.flush()
  await app.mailWorker?.settled()
}

async function storedBytes(app: FastifyInstance): Promise<number> {
  await settled(app)
  const sizes = tables.map(
    (name) => sql`select sum(pg_column_size(r.*)) as bytes from ${sql.table(name)} as r`,
  )
  const { rows } = await sql<{ bytes: number }>`
    select coalesce(sum(bytes), 0)::int as bytes from (${sql.join(sizes, sql` union all `)}) as every`.execute(
    app.db,
  )
  return rows[0]?.bytes ?? Number.NaN
}

/** @returns ids of the rows of each resource */
async function fill(db: Db, { id }: TestUser): Promise<Record<string, number[]>> {
  const ids: Record<string, number[]> = {}
  for (const { name, fields, rows } of resources) {
    const values = newValues(fields, exampleOfResource({ fields }))
    const { item } = await rows.insertOwned(db, id as OwnerId, values)
    const columns = sql.join(
      ['user_id', ...fields.map((field) => field.name)].map((column) => sql.ref(column)),
    )
    const { rows: copies } = await sql<{ id: number }>`insert into ${sql.table(name)} (${columns})
      select ${columns} from ${sql.table(name)}, generate_series(1, 400) where id = ${item.id} returning id`.execute(
      db,
    )
    ids[name] = copies.map((row) => row.id)
    for (const filter of fields.filter(({ columnType }) => columnType === 'boolean'))
      await sql`update ${sql.table(name)} set ${sql.ref(filter.name)} = id % 2 = 0 where user_id = ${id}`.execute(
        db,
      )
  }
  await sql`insert into security_events (event, user_id, ip) select 'login', ${id}, '127.0.0.1' from generate_series(1, 400)`.execute(
    db,
  )
  await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
    select 'session_' || i || ${id}, ${id}, '\\x00', '127.0.0.1', 'x', now() + interval '1 day', now() + interval '1 day'
    from generate_series(1, 19) i`.execute(db)
  await sql`analyze`.execute(db)
  return ids
}

t.test('a request on any registered route stays within its bounds', { timeout: 240_000 }, async (t) => {
  const { db, count } = await countingDatabase(t)
  const env = {
    NODE_ENV: 'development',
    CORS_ORIGINS: 'https://app.example.com',
    LOG_LEVEL: 'info',
    ...serviceClients({
      gateway: ['introspect', 'revocations:read', 'events:read', 'admin:read', 'admin:write'],
    }),
  }
  let lastLine = ''
  const app = await testApp(t, { db, env, log: (line) => (lastLine = line) })
  const [alice, carol] = [await signUp(app, 'alice'), await signUp(app, 'carol')]
  const ids = await fill(app.db, alice)
  await fill(app.db, carol)
  await app.inject({ method: 'POST', url: '/api/auth/password/forgot', payload: { email: alice.email } })
  const setup: Setup = {
    app,
    alice,
    carol,
    ids,
  }

  async function send(method: string, { status, token, headers, ...ask }: Ask) {
    await settled(app)
    const before = { ...count }
    const answer = await app.inject({
      method: method as 'GET',
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
      ...ask,
    })
    if (status === undefined ? answer.statusCode >= 400 : answer.statusCode !== status)
      throw new Error(`${method} answered ${answer.statusCode}: ${lastLine}`)
    return { statements: count.statements - before.statements, rows: count.rows - before.rows }
  }

  async function measureBatch(method: string, requests: Ask[]) {
    const before = loopTime()
    const sent = []
    for (const request of requests) sent.push(await send(method, request))
    return {
      loopMs: (loopTime() - before) / requests.length,
      statements: Math.min(...sent.map(({ statements }) => statements)),
      rows: Math.min(...sent.map(({ rows }) => rows)),
    }
  }

  async function measure(
    name: string,
    method: string,
    { statements, ask, repetitions = 4, loopMs = 0 }: Entry,
  ) {
    const requests: Ask[] = []
    while (requests.length <= batches * repetitions) requests.push(await ask(setup, requests.length))
    await send(method, requests.pop() as Ask)
    const storedBefore = await storedBytes(app)
    const taken: Awaited<ReturnType<typeof measureBatch>>[] = []
    while (requests.length > 0) taken.push(await measureBatch(method, requests.splice(0, repetitions)))
    const least = (what: keyof (typeof taken)[0]) => Math.min(...taken.map((batch) => batch[what]))
    const cost = {
      loopMs: least('loopMs'),
      statements: least('statements'),
      rows: least('rows'),
      storedBytes: ((await storedBytes(app)) - storedBefore) / (batches * repetitions),
    }
    const limits = { ...bounds, loopMs: bounds.loopMs + loopMs + loopMsOfStatement * statements, statements }
    const names = Object.keys(limits) as (keyof typeof limits)[]
    t.comment(`${name}: ${names.map((what) => `${Math.round(cost[what])} ${what}`).join(', ')}`)
    t.same(
      names.filter((what) => !(cost[what] <= limits[what])),
      [],
      `${name} stays within its bounds`,
    )
  }

  const missing = registeredRoutes(app).filter(({ method, url }) => !entryOf(method, url))
  t.same(missing, [], 'every registered route has an entry')
  for (const { method, url } of registeredRoutes(app)) {
    const entry = entryOf(method, url)
    if (entry) await measure(`${method} ${url}`, method, entry)
  }
  for (const [name, [method, entry]] of Object.entries(refusals)) await measure(name, method, entry)
})
