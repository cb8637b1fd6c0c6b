import t from 'tap'
import { problemOf, testApp, twoUsers } from '../../helper.ts'

const notAllowed = { status: 405, title: 'Method Not Allowed', code: 'method_not_allowed' }
const notFound = { status: 404, code: 'not_found', detail: 'Not found' }

t.test('a path refuses other methods with 405 and lists its own in Allow (G14)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const paths = {
    '/api/auth/login': 'POST',
    '/api/auth/me': 'GET, HEAD, PATCH',
    '/health/live': 'GET, HEAD',
    '/openapi.json?x=1': 'GET, HEAD',
    [alice.tasks]: 'GET, HEAD, POST',
    [`${alice.tasks}/1`]: 'DELETE, GET, HEAD, PATCH, PUT',
  }
  for (const [url, allow] of Object.entries(paths)) {
    for (const method of ['OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'] as const) {
      const answer = await app.inject({ method: method as 'OPTIONS', url })
      t.match(problemOf(answer), notAllowed, `${method} ${url}`)
      t.equal(answer.headers.allow, allow, `${method} ${url}`)
    }
  }
  t.match(problemOf(await app.inject({ method: 'DELETE', url: '/api/auth/login' })), notAllowed)

  const foreign = await alice.call('DELETE', bob.tasks)
  const nobody = await app.inject({ method: 'DELETE', url: '/api/nobody/tasks' })
  t.match(problemOf(foreign), notAllowed)
  t.same(problemOf(nobody), problemOf(foreign), 'reveals neither accounts nor ownership')
})

t.test('a path that does not exist is 404 for every method (G14)', async (t) => {
  const app = await testApp(t)
  for (const url of [
    '/',
    '/nope',
    '/api',
    '/api//tasks',
    '/api/x/tasks/1/2',
    '/api/auth/login/',
    '/%61pi/auth/me',
  ]) {
    for (const method of ['DELETE', 'OPTIONS', 'PROPFIND', 'QUERY', 'TRACE'] as const) {
      const answer = await app.inject({ method: method as 'OPTIONS', url })
      t.match(problemOf(answer), notFound, `${method} ${url}`)
      t.equal(answer.headers.allow, undefined)
    }
  }
})

t.test('a method comes from the request line, never from a header, the query or the body', async (t) => {
  const { alice } = await twoUsers(t)
  const headers = {
    'x-http-method-override': 'DELETE',
    'x-http-method': 'DELETE',
    'x-method-override': 'DELETE',
  }
  const task = await alice.call('POST', `${alice.tasks}?_method=DELETE`, { title: 'stays' }, { headers })
  t.equal(task.statusCode, 201)
  const url = `${alice.tasks}/${task.json().id}`

  t.match(problemOf(await alice.call('POST', url, { title: 'x' }, { headers })), notAllowed)
  const inBody = await alice.call('PATCH', url, { title: 'x', _method: 'DELETE' }, { headers })
  t.match(problemOf(inBody), { status: 400, code: 'validation_failed' })
  t.match((await alice.call('GET', url, undefined, { headers })).json(), { title: 'stays' })
})

t.test('a request without a route counts against the address, with any body (G14)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const probes = [
    { method: 'GET', url: '/nope' },
    { method: 'DELETE', url: '/health/live' },
    { method: 'POST', url: '/nope', payload: 'x', headers: { 'content-type': 'text/plain' } },
    { method: 'POST', url: '/nope', payload: '{', headers: { 'content-type': 'application/json' } },
    {
      method: 'POST',
      url: '/nope',
      payload: 'x'.repeat(20_000),
      headers: { 'content-type': 'application/json' },
    },
  ] as const
  const statuses: number[] = []
  const remaining: number[] = []
  for (const probe of probes) {
    const answer = await app.inject(probe)
    statuses.push(answer.statusCode)
    remaining.push(Number(answer.headers['ratelimit-remaining']))
  }
  t.same(statuses, [404, 405, 404, 404, 404])
  const [first = 0] = remaining
  t.same(remaining, [first, first - 1, first - 2, first - 3, first - 4], 'one bucket for all of them')
})

t.test('a path with an empty id is not found, by any method, and counts against the address', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { RATE_LIMITS: 'on' } })
  const { location } = (await alice.call('POST', alice.tasks, { title: 'stays' })).headers
  const paths = [`${alice.tasks}/`, `${alice.tasks}/?limit=1`, '/api//tasks', '/api//tasks/1', '/api//tasks/']
  paths.push('/api/auth/sessions/')
  const remaining: number[] = []
  for (const url of paths) {
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'POST']) {
      const body = method === 'GET' || method === 'HEAD' ? undefined : { title: 'x' }
      for (const answer of [
        await alice.call(method, url, body),
        await bob.call(method, url, body),
        await app.inject({ method: method as 'GET', url }),
      ]) {
        t.equal(answer.statusCode, 404, `${method} ${url}`)
        if (method !== 'HEAD') t.match(problemOf(answer), { code: 'not_found' }, `${method} ${url}`)
        remaining.push(Number(answer.headers['ratelimit-remaining']))
      }
    }
  }
  const [first = 0] = remaining
  t.same(
    remaining,
    remaining.map((_, at) => first - at),
    'each is counted',
  )
  t.match((await alice.call('GET', location as string)).json(), { title: 'stays' })
})
