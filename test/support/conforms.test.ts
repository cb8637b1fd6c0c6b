import Fastify, { type FastifyReply, type InjectOptions } from 'fastify'
import t from 'tap'
import { registeredRoutes, testApp } from '../helper.ts'
import { collectViolations } from './conforms.ts'
import { operations } from './contract-file.ts'

const problem = {
  type: 'about:blank',
  title: 'Unauthorized',
  status: 401,
  detail: 'Could not validate credentials',
  code: 'unauthorized',
  request_id: 'x',
}
const problemJson = 'application/problem+json; charset=utf-8'

interface Lie {
  readonly url: string
  readonly answer: (reply: FastifyReply) => unknown
  readonly request?: InjectOptions
  readonly violation?: RegExp
}

const user = {
  id: 'user_1',
  email: 'a@example.com',
  name: 'a',
  email_verified: false,
  created_at: '2026-01-31T12:00:00.000Z',
}

/** Responses, and their violations of the contract. */
const lies: Record<string, Lie> = {
  'as documented': { url: '/api/auth/me', answer: () => user },
  'a documented problem': {
    url: '/api/auth/me',
    answer: (reply) => reply.code(401).type(problemJson).send(JSON.stringify(problem)),
  },
  'another status': {
    url: '/health/live',
    answer: (reply) => reply.code(202).send({ status: 'ok' }),
    violation: /202: the status is not documented/,
  },
  'a missing field': {
    url: '/api/auth/me',
    answer: () => ({ ...user, id: undefined }),
    violation: /required property 'id'/,
  },
  'a field too many': {
    url: '/api/auth/me',
    answer: () => ({ ...user, password_hash: 'x' }),
    violation: /password_hash/,
  },
  'another type': {
    url: '/api/auth/me',
    answer: () => ({ ...user, name: null }),
    violation: /\/name must be string/,
  },
  'another format': {
    url: '/api/auth/me',
    answer: () => ({ ...user, created_at: 'now' }),
    violation: /\/created_at must match format/,
  },
  'another media type': {
    url: '/health/live',
    answer: (reply) => reply.type('text/plain').send('ok'),
    violation: /content type text\/plain is not documented/,
  },
  'a problem as plain JSON': {
    url: '/api/auth/me',
    answer: (reply) => reply.code(401).send(problem),
    violation: /content type application\/json/,
  },
  'a code of another operation': {
    url: '/api/auth/me',
    answer: (reply) =>
      reply
        .code(401)
        .type(problemJson)
        .send(JSON.stringify({ ...problem, code: 'invalid_grant' })),
    violation: /\/code must be equal to one of the allowed values/,
  },
  'a problem that tells too much': {
    url: '/api/auth/me',
    answer: (reply) =>
      reply
        .code(401)
        .type(problemJson)
        .send(JSON.stringify({ ...problem, stack: 'x' })),
    violation: /stack/,
  },
  'a header that is not what it says': {
    url: '/api/auth/me',
    answer: (reply) =>
      reply
        .code(503)
        .header('retry-after', 'soon')
        .type(problemJson)
        .send(JSON.stringify({ ...problem, code: 'service_unavailable' })),
    violation: /Retry-After is soon/,
  },
  'a 503 without Retry-After': {
    url: '/api/auth/me',
    answer: (reply) =>
      reply
        .code(503)
        .type(problemJson)
        .send(JSON.stringify({ ...problem, code: 'service_unavailable' })),
    violation: /Retry-After is missing/,
  },
  'an error of the framework': {
    url: '/api/auth/me',
    answer: () => {
      throw new Error('canary')
    },
    violation: /500: the content type application\/json/,
  },
  'an error of the framework, where there is no route': {
    url: '/health/live',
    answer: () => ({ status: 'ok' }),
    request: { url: '/nowhere' },
    violation: /404: the content type application\/json/,
  },
  'an error of the framework, before it looks for a route': {
    url: '/health/live',
    answer: () => ({ status: 'ok' }),
    request: { url: '/%zz' },
    violation: /400: the content type application\/json/,
  },
}

t.test('a response that openapi.yaml does not have fails its test file', async (t) => {
  const violations = collectViolations(t)
  for (const [name, { url, answer, request, violation }] of Object.entries(lies)) {
    const app = Fastify().decorate('contractYaml', () => '')
    app.get(url, async (_request, reply) => answer(reply))
    await app.inject(request ?? url)
    const [found = '', ...others] = violations.splice(0)
    t.match(found, violation ?? /^$/, name)
    t.same(others, [], name)
  }
})

t.test(
  'openapi.yaml has every route, except the pages of /docs and the methods of a gateway’s question',
  async (t) => {
    const documented = new Set(
      operations().map(({ method, path }) => `${method} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    )
    const others = registeredRoutes(await testApp(t))
      .filter(({ method, url }) => method !== 'HEAD' && !documented.has(`${method} ${url}`))
      .map(({ url }) => url)
    t.not(others.length, 0)
    for (const url of others) t.match(url, /^(\/docs(\/|$)|\/gateway\/verify$)/)
  },
)
