import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { problemOf, testApp, twoUsers } from '../../helper.ts'
import { exchange, listeningApp } from '../../support/wire.ts'

const internal = { status: 500, code: 'internal_error', detail: 'Internal server error' }

/** Every way in which a handler can fail unexpectedly. */
const failures: Record<string, (app: FastifyInstance) => unknown> = {
  thrown: () => {
    throw new Error('canary at /srv/app/secret.ts')
  },
  'rejected later': async () => {
    await new Promise(setImmediate)
    throw new TypeError("Cannot read properties of undefined (reading 'canary')")
  },
  'not an error': () => Promise.reject('canary'),
  nothing: () => Promise.reject(),
  'an error with a status of its own': () =>
    Promise.reject(Object.assign(new Error('canary'), { statusCode: 502 })),
  'a syntax error of SQL': ({ db }) => sql`select canary frm`.execute(db),
  'a table that is not there': ({ db }) => sql`select * from canary`.execute(db),
  'a constraint': ({ db }) =>
    sql`insert into users (id, email, name, password_hash) values ('canary', 'CANARY', '', '')`.execute(db),
  'a row that a check refuses': ({ db }) =>
    sql`insert into users (id, email, name, password_hash) values ('x', 'UPPER', '', 'canary hash')`.execute(
      db,
    ),
  'NUL in a text': ({ db }) => sql`select ${'canary\0'}::text`.execute(db),
  'a number out of range': ({ db }) => sql`select ${'99999999999999999999'}::bigint, 'canary'`.execute(db),
}

const pathOf = (name: string) => `/failures/${name.replaceAll(' ', '-')}`

function addFailures(app: FastifyInstance): void {
  for (const [name, fail] of Object.entries(failures)) {
    app.get(pathOf(name), { config: { access: 'public' } }, () => fail(app))
  }
}

t.test('an unexpected error is answered with a request id and no details (G19)', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'error' },
    log: (line) => lines.push(line),
    extend: addFailures,
  })
  for (const name of Object.keys(failures)) {
    lines.length = 0
    const answer = await app.inject(pathOf(name))
    const body = answer.json()
    t.match(body, internal, name)
    t.same(Object.keys(body).sort(), ['code', 'detail', 'request_id', 'status', 'title', 'type'], name)
    t.notMatch(answer.body + JSON.stringify(answer.headers), /canary|select|\.ts|\/srv|node_modules/i, name)
    t.equal(answer.headers['x-request-id'], body.request_id)
    t.equal(lines.length, 1, 'the cause is logged')
    t.equal(JSON.parse(lines[0] ?? '').reqId, body.request_id, 'under the same id')
    t.notMatch(lines[0], /canary hash/, 'without the values of the row')
  }
  const unknown = await app.inject('/failures/canary')
  t.match(problemOf(unknown), { status: 404, code: 'not_found', detail: 'Not found' })
  t.notMatch(unknown.body, 'canary')
})

const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': /frame-ancestors 'none'/,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-request-id': /^[0-9a-f-]{36}$/,
}

t.test('every response has the security headers and reveals no software (G18)', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { extend: addFailures })
  const answers = {
    200: await app.inject('/health/live'),
    201: await alice.call('POST', alice.tasks, { title: 'x' }),
    400: await app.inject('/%zz'),
    401: await app.inject('/api/auth/me'),
    403: await alice.call('GET', bob.tasks),
    404: await app.inject('/nope'),
    405: await app.inject({ method: 'DELETE', url: '/health/live' }),
    413: await alice.call('POST', alice.tasks, { title: 'x'.repeat(20_000) }),
    415: await alice.call('POST', alice.tasks, undefined, {
      payload: 'x',
      headers: { 'content-type': 'text/plain' },
    }),
    500: await app.inject('/failures/thrown'),
  }
  for (const [status, answer] of Object.entries(answers)) {
    t.equal(answer.statusCode, Number(status))
    t.match(answer.headers, securityHeaders, status)
    t.notOk('server' in answer.headers || 'x-powered-by' in answer.headers, status)
  }
})

t.test('the response to a message that is not HTTP has them too (G18)', async (t) => {
  const { 'x-request-id': _, ...headers } = securityHeaders
  t.match((await exchange(await listeningApp(t), 'garbage\r\n\r\n')).headers, headers)
})

t.test('HSTS=off sends no Strict-Transport-Security on any response (G18)', async (t) => {
  for (const [HSTS, sent] of Object.entries({ off: undefined, 'max-age=60': 'max-age=60' })) {
    const app = await listeningApp(t, { env: { HSTS } })
    const answers = [await app.inject('/health/live'), await app.inject('/%zz'), await app.inject('/nope')]
    for (const { headers } of [...answers, await exchange(app, 'garbage\r\n\r\n')])
      t.equal(headers['strict-transport-security'], sent)
  }
})
