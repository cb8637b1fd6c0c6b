import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load-config.ts'
import { openDatabase } from '../../src/db/open.ts'

export const password = 'correct horse battery'

export interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: a body of any route
  readonly body: any
}

export interface Request {
  readonly body?: object
  readonly token?: string
  readonly headers?: Record<string, string>
}

/** Of both instances, and of no other service. */
const randomSecret = randomBytes(32).toString('hex')
const issuer = {
  issuer: 'https://check-distributed.invalid',
  audience: 'check',
  secret: randomBytes(32).toString('hex'),
}

/** An access token of an issuer that the instances trust. */
export function foreignToken(sub: string): string {
  const now = Math.floor(Date.now() / 1000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { iss: issuer.issuer, aud: issuer.audience, sub, iat: now, exp: now + 300 }
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', issuer.secret).update(signed).digest('base64url')}`
}

/** A service on the database, which is not migrated. */
export async function startInstance(url: string): Promise<FastifyInstance> {
  const config = loadConfig(
    {
      NODE_ENV: 'test',
      LOG_LEVEL: 'fatal',
      DATABASE_URL: url,
      SECRET_KEY: randomSecret,
      TRUSTED_ISSUERS: JSON.stringify([issuer]),
      RATE_LIMITS: 'off',
      RATE_LIMIT_ACCOUNT: '999999/1m',
      RATE_LIMIT_PAIR: '999999/1m',
      MAX_TASKS_PER_USER: '900',
      MAX_EVENT_LOOP_DELAY_MS: '0',
    },
    () => '',
  )
  const database = await openDatabase(config, () => {})
  const app = await buildApp(config, database)
  await app.ready()
  return app
}

export async function ask(
  app: FastifyInstance,
  method: string,
  url: string,
  { body, token, headers = {} }: Request = {},
): Promise<Answer> {
  const answer = await app.inject({
    method: method as 'GET',
    url,
    headers: { ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) },
    ...(body ? { payload: body } : {}),
  })
  const hasBody = /[/+]json(;|$)/.test(String(answer.headers['content-type'] ?? ''))
  return { status: answer.statusCode, headers: answer.headers, body: hasBody ? answer.json() : answer.body }
}

export interface Person {
  readonly id: string
  readonly email: string
  readonly token: string
  readonly refreshToken: string
  readonly tasks: string
}

/** Signs up an account that the check deletes at its end. */
export async function signUp(app: FastifyInstance): Promise<Person> {
  const email = `check-${randomUUID()}@check-distributed.invalid`
  const { status, body } = await ask(app, 'POST', '/api/auth/signup', {
    body: { email, password, name: 'Check' },
  })
  if (status !== 201) throw new Error(`a signup was answered ${status}: ${JSON.stringify(body)}`)
  const { user, token, refresh_token: refreshToken } = body
  return { id: user.id, email, token, refreshToken, tasks: `/api/${user.id}/tasks` }
}
