import { randomUUID } from 'node:crypto'
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify'
import tap from 'tap'
import { buildApp } from '../src/app.ts'
import type { Clock } from '../src/clock.ts'
import type { Config } from '../src/config/config.ts'
import { loadConfig } from '../src/config/load-config.ts'
import type { Listen } from '../src/db/listen.ts'
import type { Db } from '../src/db/schema.ts'
import type { DeliveredMail } from '../src/mail/local-mailbox.ts'
import type { HashCost } from '../src/passwords/hashes.ts'
import './support/compiled-schemas.ts'
import './support/conforms.ts'
import { emptyDatabase, listens, migratedDatabase, openMigrated } from './support/databases.ts'
import type { Test } from './support/postgres.ts'

export { keptOpen, listens, migratedDatabase, testDatabase } from './support/databases.ts'

export const secret = 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u'
export const password = 'correct horse battery'

/** Above what concurrent requests for one account need. */
const noLimits = {
  RATE_LIMITS: 'off',
  RATE_LIMIT_ACCOUNT: '9999999/1m',
  RATE_LIMIT_PAIR: '9999999/1m',
  RATE_LIMIT_KEYS: '9999999/1m',
  RATE_LIMIT_EXPORTS: '9999999/1m',
}

/** For tests that are not about hashes: a hundredth of the time. */
const cheapHash: HashCost = { memoryKiB: 1024, passes: 1 }

/** A configuration; limits by address are off, since a test's requests come from one address. */
export function testConfig(env: Record<string, string> = {}, cost: HashCost = cheapHash): Config {
  const defaults = {
    NODE_ENV: 'test',
    LOG_LEVEL: 'silent',
    ...(env['RATE_LIMITS'] === 'on' ? {} : noLimits),
    PUBLIC_URL: 'http://latchkey.test',
    SECRET_KEY: secret,
    HASH_QUEUE: '1000',
    // Other tests on the machine delay the event loop.
    MAX_EVENT_LOOP_DELAY_MS: '0',
  }
  const config = loadConfig({ ...defaults, ...env }, () => secret)
  return { ...config, hashing: { ...config.hashing, cost } }
}

export interface AppOptions {
  readonly env?: Record<string, string>
  readonly clock?: Clock
  /** Instead of a new database. */
  readonly db?: Db
  /** Instead of that of `db`; undefined: events are polled. */
  readonly listenToEvents?: Listen | undefined
  /** Cost of password hashes; cheap by default. */
  readonly hashCost?: HashCost
  /** Called with each log line. */
  readonly log?: (line: string) => void
  /** Adds routes before the app is ready. */
  readonly extend?: (app: FastifyInstance) => void | Promise<void>
}

/** The app of the last test, for the next one with the same configuration: building one takes longer than most tests. */
let idle: { readonly env: string; readonly app: FastifyInstance } | undefined
/** Closed, or with a mail worker that has stopped. */
const ended = new WeakSet<FastifyInstance>()
tap.teardown(() => idle?.app.close())

/** What an app remembers beside its database: counts of addresses, keys, deliveries. */
const memories = /^(RATE_LIMIT|ALGORITHM|WEBHOOK)/

/**
 * The service on an empty database, until the test ends. One of the test's own with other options than `env`; for one
 * that the test stops or changes there is {@link ownApp}.
 */
export async function testApp(t: Test, options: AppOptions = {}): Promise<FastifyInstance> {
  const { env = {}, ...others } = options
  const isShared = Object.keys(others).length === 0 && !Object.keys(env).some((name) => memories.test(name))
  if (!isShared) return ownApp(t, options)
  const key = JSON.stringify(env)
  const app = await sharedApp(key, options)
  t.teardown(async () => {
    if (ended.has(app) || app.draining || app.server.listening || idle) await app.close()
    else idle = { env: key, app }
  })
  return app
}

async function sharedApp(env: string, options: AppOptions): Promise<FastifyInstance> {
  const found = idle
  idle = undefined
  if (found?.env !== env) {
    await found?.app.close()
    return build(options, await openMigrated())
  }
  await found.app.mailWorker?.settled()
  await found.app.securityEvents.flush()
  ;(found.app.mailbox?.mails as DeliveredMail[] | undefined)?.splice(0)
  await emptyDatabase(found.app.db)
  return found.app
}

/** The service on a new database, closed when the test ends. */
export async function ownApp(t: Test, options: AppOptions = {}): Promise<FastifyInstance> {
  const app = await build(options, options.db ?? (await migratedDatabase(t)))
  t.teardown(() => app.close())
  return app
}

async function build(options: AppOptions, db: Db): Promise<FastifyInstance> {
  const { env, hashCost, clock, log, extend } = options
  const { listenToEvents = listens.get(db) } = options
  const app = await buildApp(testConfig(env, hashCost), {
    db,
    listenToEvents,
    ...(clock ? { clock } : {}),
    ...(log ? { logStream: { write: log } } : {}),
  })
  app.addHook('onClose', async () => void ended.add(app))
  await extend?.(app)
  await app.ready()
  const { mailWorker } = app
  const stop = mailWorker?.stop.bind(mailWorker)
  if (mailWorker && stop)
    mailWorker.stop = (limitMs) => {
      ended.add(app)
      return stop(limitMs)
    }
  return app
}

type Request = Omit<InjectOptions, 'url' | 'method'>

/** A user with a session. */
export interface TestUser {
  readonly id: string
  readonly email: string
  readonly token: string
  readonly refreshToken: string
  /** Path of the user's tasks. */
  readonly tasks: string
  call(method: string, url: string, body?: unknown, request?: Request): Promise<LightMyRequestResponse>
}

/** Signs up a new user. */
export async function signUp(app: FastifyInstance, name: string): Promise<TestUser> {
  const email = `${name}.${randomUUID()}@example.com`
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/signup',
    payload: { email, password, name },
  })
  if (answer.statusCode !== 201) throw new Error(`signup answered ${answer.statusCode}: ${answer.body}`)
  const { token, user, refresh_token } = answer.json()
  return {
    id: user.id,
    email,
    token,
    refreshToken: refresh_token,
    tasks: `/api/${user.id}/tasks`,
    call: (method, url, body, { headers, ...request } = {}) =>
      app.inject({
        method: method as 'GET',
        url,
        ...(body === undefined ? {} : { payload: body as object }),
        headers: { authorization: `Bearer ${token}`, ...headers },
        ...request,
      }),
  }
}

/** An app and two users: that one is allowed is half of a test. */
export async function twoUsers(t: Test, options: AppOptions = {}) {
  const app = await testApp(t, options)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  return { app, alice, bob }
}

/** Names of a user's security events, oldest first, without account_created. */
export async function eventsOf(app: FastifyInstance, { id }: { readonly id: string }): Promise<string[]> {
  await app.securityEvents.flush()
  const rows = await app.db
    .selectFrom('security_events')
    .select('event')
    .where('user_id', '=', id)
    .where('event', '!=', 'account_created')
    .orderBy('id')
    .execute()
  return rows.map(({ event }) => event)
}

/** A problem response without its request id. */
export function problemOf(answer: LightMyRequestResponse) {
  const { request_id: _, ...body } = answer.json()
  return { media: answer.headers['content-type'], ...body }
}

/** The body for any missing or invalid token. */
export const unauthorized = {
  media: 'application/problem+json; charset=utf-8',
  type: 'about:blank',
  title: 'Unauthorized',
  status: 401,
  detail: 'Could not validate credentials',
  code: 'unauthorized',
}

/** Every method and URL pattern of the router. */
export function registeredRoutes(app: FastifyInstance): { method: string; url: string }[] {
  const path: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', segment = '', methods] = /^(.*?)[├└]── (\S+) \(([A-Z, -]+)\)$/.exec(line) ?? []
      if (methods === undefined) return []
      path.splice(indent.length / 4, Number.POSITIVE_INFINITY, segment)
      return methods.split(', ').map((method) => ({ method, url: path.join('') }))
    })
}
