import t from 'tap'
import {
  createLatchkey,
  isProblem,
  type KeptSession,
  memoryStorage,
  type SessionStorage,
  webStorage,
} from '../../../client/src/index.ts'
import { password } from '../../helper.ts'
import { customer, service } from '../../support/client-service.ts'

const many = Array.from({ length: 20 }, (_, at) => at)

t.test('20 concurrent calls with an expired token share one refresh, and each is served once', async (t) => {
  const latchkey = await service(t)
  const { client, id, ends } = await customer(latchkey, 'alice')
  for (let round = 0; round < 3; round++) {
    latchkey.expireTokens()
    const answers = await Promise.all(
      many.map((at) =>
        client.POST('/api/{user_id}/tasks', {
          params: { path: { user_id: id } },
          body: { title: `task ${round} ${at}` },
        }),
      ),
    )
    t.same(
      answers.map(({ data }) => data?.title),
      many.map((at) => `task ${round} ${at}`),
      'with their bodies',
    )
    t.equal(latchkey.refreshes(), 1)
  }
  const { data } = await client.GET('/api/{user_id}/tasks', {
    params: { path: { user_id: id }, query: { limit: 100 } },
  })
  t.equal(data?.length, 60)
  t.equal(ends(), 0)
})

t.test('a late 401 does not refresh again', async (t) => {
  const latchkey = await service(t)
  let late: (() => void) | undefined
  const held = new Promise<void>((resolve) => {
    late = resolve
  })
  const { client } = await customer(latchkey, 'alice', {
    fetch: async (request) => {
      const slow = request.url.endsWith('/api/auth/sessions') && late !== undefined
      const answer = await fetch(request)
      if (slow) await held
      return answer
    },
  })
  latchkey.expireTokens()
  const slow = client.GET('/api/auth/sessions')
  t.ok((await client.GET('/api/auth/me')).data)
  late?.()
  t.ok((await slow).data)
  t.equal(latchkey.refreshes(), 1)
})

t.test('a signup and a task whose response was lost are retried with their key', async (t) => {
  const latchkey = await service(t)
  let lost = 0
  const client = createLatchkey({
    baseUrl: latchkey.url,
    fetch: async (request) => {
      const answer = await fetch(request)
      if (request.headers.has('idempotency-key') && lost++ % 2 === 0) throw new TypeError('fetch failed')
      return answer
    },
  })
  const account = { email: 'alice@example.com', password, name: 'Alice' }
  const idempotencyKey = crypto.randomUUID()
  await t.rejects(client.session.signUp(account, { idempotencyKey }), TypeError)
  t.ok((await client.session.signUp(account, { idempotencyKey })).data)
  const user = await client.session.user()
  t.equal(user?.name, 'Alice')

  const path = { user_id: user?.id ?? '' }
  const create = {
    params: { path, header: { 'idempotency-key': crypto.randomUUID() } },
    body: { title: 'Buy milk' },
  }
  await t.rejects(client.POST('/api/{user_id}/tasks', create), TypeError)
  const { data: task } = await client.POST('/api/{user_id}/tasks', create)
  t.same((await client.GET('/api/{user_id}/tasks', { params: { path } })).data, [task])
})

t.test('two clients of one storage share the session and its refresh', async (t) => {
  const latchkey = await service(t)
  const storage = memoryStorage()
  const { client } = await customer(latchkey, 'alice', { storage })
  const other = createLatchkey({ baseUrl: latchkey.url, storage })
  latchkey.expireTokens()
  const answers = await Promise.all(many.map((at) => (at % 2 ? client : other).GET('/api/auth/me')))
  t.same([...new Set(answers.map(({ response }) => response.status))], [200])
  t.equal(latchkey.refreshes(), 1)
})

t.test('the app is notified once that its session has ended, and the tokens are deleted', async (t) => {
  const latchkey = await service(t)
  const storage = memoryStorage()
  const { client, ends } = await customer(latchkey, 'alice', { storage })
  const { token } = (await storage.get()) as KeptSession
  await latchkey.app.inject({
    method: 'POST',
    url: '/api/auth/logout',
    headers: { authorization: `Bearer ${token}` },
  })
  const answers = await Promise.all(many.map(() => client.GET('/api/auth/me')))
  for (const { error } of answers) t.ok(isProblem(error, 'unauthorized'))
  t.same([latchkey.refreshes(), ends(), await storage.get()], [1, 1, null])

  t.ok(isProblem((await client.GET('/api/auth/me')).error, 'unauthorized'))
  t.same([latchkey.refreshes(), ends()], [0, 1], 'no refresh and no second notification')

  await client.session.logIn({ email: 'alice@example.com', password })
  t.ok((await client.GET('/api/auth/me')).data, 'the next session is another one')
  latchkey.expireTokens()
  t.ok((await client.GET('/api/auth/me')).data)
  t.same([latchkey.refreshes(), ends()], [1, 1])
})

t.test('a refresh that fails with 429 or 5xx keeps the session', async (t) => {
  const latchkey = await service(t)
  const refusals: ((request: Request) => Promise<Response>)[] = []
  const { client, ends } = await customer(latchkey, 'alice', {
    fetch: async (request) =>
      (request.url.endsWith('/refresh') && refusals.shift()?.(request)) || fetch(request),
  })
  const unavailable = async () =>
    Response.json(
      { code: 'service_unavailable', request_id: 'x', status: 503 },
      { status: 503, headers: { 'retry-after': '1', 'content-type': 'application/problem+json' } },
    )

  latchkey.expireTokens()
  refusals.push(unavailable, unavailable)
  const refused = await Promise.all([client.GET('/api/auth/me'), client.GET('/api/auth/me')])
  for (const { error, response } of refused) {
    t.ok(isProblem(error, 'service_unavailable'), 'each call gets the response, with Retry-After')
    t.equal(response.headers.get('retry-after'), '1')
  }
  refusals.length = 0
  t.ok((await client.GET('/api/auth/me')).data)

  latchkey.expireTokens()
  const cut = async () => {
    throw new TypeError('fetch failed')
  }
  refusals.push(cut, cut)
  await t.rejects(client.GET('/api/auth/me'), TypeError, 'no network: as with fetch')
  refusals.push(unavailable)
  await t.rejects(client.session.refresh(), /answered 503/)
  t.ok(await client.session.refresh())

  latchkey.expireTokens()
  latchkey.refreshes()
  refusals.push(async (request) => {
    await fetch(request)
    return cut()
  })
  t.ok((await client.GET('/api/auth/me')).data, 'a refresh whose response was lost is retried')
  t.equal(latchkey.refreshes(), 2)
  latchkey.expireTokens()
  t.ok((await client.GET('/api/auth/me')).data, 'the next token is valid')
  t.equal(ends(), 0)
})

t.test('a 401 for another reason than the access token is returned', async (t) => {
  const latchkey = await service(t)
  const { client } = await customer(latchkey, 'alice')
  const wrong = await client.PUT('/api/auth/password', {
    body: { current_password: 'not the password', new_password: 'another password' },
  })
  t.ok(isProblem(wrong.error, 'invalid_credentials'))
  const login = await client.session.logIn({ email: 'alice@example.com', password: 'not the password' })
  t.ok(isProblem(login.error, 'invalid_credentials'))
  t.equal(latchkey.refreshes(), 0)
  t.ok(await client.session.user(), 'the session is kept')
})

t.test('a call of one user is never retried as another', async (t) => {
  const latchkey = await service(t)
  const storage = memoryStorage()
  const { client, id, ends } = await customer(latchkey, 'alice', {
    storage,
    fetch: async (request) => {
      const answer = await fetch(request)
      // Another user logs in in another tab while the call is in flight.
      if (request.method === 'PATCH' && answer.status === 401) await customer(latchkey, 'bob', { storage })
      return answer
    },
  })
  latchkey.expireTokens()
  const renamed = await client.PATCH('/api/auth/me', { body: { name: 'Alice in Wonderland' } })
  t.ok(isProblem(renamed.error, 'unauthorized'))
  t.equal(ends(), 1)
  const user = await client.session.user()
  t.equal(user?.name, 'bob')
  t.not(user?.id, id)
})

t.test('a token is sent to the service only, in the header', async (t) => {
  const latchkey = await service(t)
  const sent: Request[] = []
  const { client } = await customer(latchkey, 'alice', {
    fetch: async (request) => {
      sent.push(request.clone())
      return request.url.startsWith(latchkey.url) ? fetch(request) : Response.json({})
    },
  })
  const token = await client.session.token()
  await client.GET('/api/auth/me')
  await client.GET('/health/live', { baseUrl: 'https://elsewhere.example' })
  await client.GET('/api/auth/me', { headers: { authorization: 'Bearer x' } })
  t.same(
    sent.map(({ headers }) => headers.get('authorization')),
    [null, `Bearer ${token}`, null, 'Bearer x'],
  )
  for (const { url } of sent) t.notMatch(url, String(token))
  t.equal(latchkey.refreshes(), 0, 'a token set by the caller is not refreshed')
})

t.test('logout ends the session here and at the service; if it fails, the session is kept', async (t) => {
  const latchkey = await service(t)
  let cut = true
  const storage = memoryStorage()
  const { client, ends } = await customer(latchkey, 'alice', {
    storage,
    fetch: async (request) => {
      if (cut && request.url.endsWith('/logout')) throw new TypeError('fetch failed')
      return fetch(request)
    },
  })
  await t.rejects(client.session.logOut(), TypeError)
  t.ok((await client.GET('/api/auth/me')).data)
  cut = false
  t.equal((await client.session.logOut('others')).response.status, 204)
  t.ok(await client.session.user())

  const { token } = (await storage.get()) as KeptSession
  latchkey.expireTokens()
  t.equal((await client.session.logOut()).response.status, 204, 'with an expired token too')
  t.same(
    [await storage.get(), await client.session.user(), await client.session.refresh()],
    [null, null, null],
  )
  t.equal(ends(), 0, 'no notification of a logout')
  const old = await latchkey.app.inject({
    url: '/api/auth/me',
    headers: { authorization: `Bearer ${token}` },
  })
  t.equal(old.statusCode, 401)
})

t.test('the storage may be asynchronous; an invalid value in it is ignored', async (t) => {
  const latchkey = await service(t)
  const memory = memoryStorage()
  const slow: SessionStorage = {
    get: async () => memory.get(),
    set: async (session) => memory.set(session),
    delete: async () => memory.delete(),
  }
  const { client } = await customer(latchkey, 'alice', { storage: slow })
  latchkey.expireTokens()
  await Promise.all(many.map(() => client.GET('/api/auth/me')))
  t.equal(latchkey.refreshes(), 1)

  const texts = new Map([['latchkey', '{']])
  const web = webStorage({
    getItem: (key) => texts.get(key) ?? null,
    setItem: (key, value) => texts.set(key, value),
    removeItem: (key) => texts.delete(key),
  })
  t.equal(web.get(), null)
  const kept = (await memory.get()) as KeptSession
  web.set(kept)
  t.same(web.get(), kept)
  web.delete()
  t.equal(texts.size, 0)
})

t.test('an API key takes the place of the session in a call', async (t) => {
  const latchkey = await service(t)
  const { client, id, ends } = await customer(latchkey, 'alice')
  const path = { user_id: id }
  const { data: made } = await client.POST('/api/auth/keys', {
    body: { name: 'Script', scopes: ['tasks:read'], expires_in_days: 1 },
  })
  const headers = { authorization: `Bearer ${made?.key}` }
  latchkey.expireTokens()
  t.same((await client.GET('/api/{user_id}/tasks', { params: { path }, headers })).data, [])
  const refused = await client.POST('/api/{user_id}/tasks', {
    params: { path },
    headers,
    body: { title: 'x' },
  })
  t.ok(isProblem(refused.error, 'insufficient_scope'))
  t.equal(latchkey.refreshes(), 0)

  await client.DELETE('/api/auth/keys/{key_id}', { params: { path: { key_id: made?.id ?? '' } } })
  latchkey.refreshes()
  const over = await client.GET('/api/{user_id}/tasks', { params: { path }, headers })
  t.ok(isProblem(over.error, 'unauthorized'))
  t.equal(latchkey.refreshes(), 0, 'it is not the session that has ended')
  t.equal(ends(), 0)
})
