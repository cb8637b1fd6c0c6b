import t, { type Test } from 'tap'
import {
  createLatchkey,
  isProblem,
  type KeptSession,
  memoryStorage,
  type SessionStorage,
  webStorage,
} from '../../../client/src/index.ts'
import { customer, service } from '../../support/client-service.ts'

/** More than one call may send. */
const tooMany = 10

/** Counts requests, and stops an endless loop. */
function counting(send: (request: Request) => Promise<Response>) {
  const sent: string[] = []
  const fetch = async (request: Request) => {
    sent.push(new URL(request.url).pathname)
    if (sent.length > tooMany) throw new Error('a loop of requests')
    return send(request)
  }
  return { sent, fetch }
}

function textStorage(text: string) {
  const texts = new Map([['latchkey', text]])
  const storage = webStorage({
    getItem: (key) => texts.get(key) ?? null,
    setItem: (key, value) => texts.set(key, value),
    removeItem: (key) => texts.delete(key),
  })
  return { texts, storage }
}

const session = { user: { id: 'user_1' }, token: 'a.b.c', refresh_token: 'r' }
const changed = (change: object) => JSON.stringify({ ...session, ...change })

const noSessions = [
  '{}',
  '[]',
  '"a text"',
  '1',
  'true',
  '{',
  '{"accessToken":"x","refreshToken":"y"}',
  '{"__proto__":{"token":"a.b.c"}}',
  changed({ token: undefined }),
  changed({ token: 7 }),
  changed({ token: '' }),
  changed({ token: 'a\r\nb' }),
  changed({ token: 'ü' }),
  changed({ refresh_token: undefined }),
  changed({ refresh_token: {} }),
  changed({ refresh_token: '' }),
  changed({ user: undefined }),
  changed({ user: null }),
  changed({ user: 'user_1' }),
  changed({ user: {} }),
  changed({ user: { id: 1 } }),
]

t.test('an invalid stored value is deleted, and the call gets 401', async (t) => {
  const latchkey = await service(t)
  for (const text of noSessions) {
    const { texts, storage } = textStorage(text)
    const { sent, fetch: counted } = counting(fetch)
    let ends = 0
    const client = createLatchkey({
      baseUrl: latchkey.url,
      storage,
      fetch: counted,
      onSessionEnd: () => ends++,
    })
    const { error } = await client.GET('/api/auth/me')
    t.ok(isProblem(error, 'unauthorized'), text)
    t.same([sent, ends, texts.size], [['/api/auth/me'], 0, 0], text)
    t.same(
      [await client.session.user(), await client.session.token(), await client.session.refresh()],
      [null, null, null],
      text,
    )
  }
})

t.test('a session that another script has overwritten ends, and the app is notified once', async (t) => {
  const latchkey = await service(t)
  const { texts, storage } = textStorage('null')
  const { client, ends } = await customer(latchkey, 'alice', { storage })
  for (const text of ['{}', '{"token":"x"}']) {
    texts.set('latchkey', text)
    const answers = await Promise.all([client.GET('/api/auth/me'), client.GET('/api/auth/me')])
    for (const { error } of answers) t.ok(isProblem(error, 'unauthorized'))
  }
  t.same([ends(), latchkey.refreshes(), texts.size], [1, 0, 0])
})

t.test('deleting an invalid value keeps a session that another tab has stored meanwhile', async (t) => {
  const latchkey = await service(t)
  const memory = memoryStorage()
  await customer(latchkey, 'alice', { storage: memory })
  const good = await memory.get()
  let reads = 0
  const storage: SessionStorage = {
    ...memory,
    get: () => (reads++ === 0 ? ({} as KeptSession) : good),
    delete: () => {
      t.fail('deleted')
    },
  }
  const client = createLatchkey({ baseUrl: latchkey.url, storage })
  t.equal((await client.GET('/api/auth/me')).response.status, 401, 'the call was sent without the session')
  t.ok((await client.GET('/api/auth/me')).data)
})

/** A service that refuses every access token, with the refresh responses of a test. */
function refusing(t: Test, refresh: () => Response, storage: SessionStorage = memoryStorage()) {
  const refused = () => Response.json({ code: 'unauthorized', request_id: 'x' }, { status: 401 })
  const { sent, fetch: counted } = counting(async ({ url }) =>
    url.endsWith('/refresh') ? refresh() : refused(),
  )
  let ends = 0
  const client = createLatchkey({
    baseUrl: 'http://latchkey.test',
    storage,
    fetch: counted,
    onSessionEnd: () => ends++,
  })
  const call = async () => {
    sent.length = 0
    const answer = await client.GET('/api/auth/me')
    t.equal(answer.response.status, 401)
    return sent.filter((path) => path.endsWith('/refresh')).length
  }
  return { client, call, storage, ends: () => ends }
}

t.test('a refresh response without a new session ends nothing, and is tried once per call', async (t) => {
  const answers: Record<string, () => Response> = {
    'an empty object': () => Response.json({}),
    'a list': () => Response.json([]),
    'a text': () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
    nothing: () => new Response(null, { status: 204 }),
    'no refresh token': () => Response.json({ ...session, refresh_token: undefined }),
    'a token that no header can carry': () => Response.json({ ...session, token: 'x\n' }),
    'no user': () => Response.json({ ...session, user: null, token: 'd.e.f' }),
    'the token that was refused': () => Response.json(session),
    'a problem of another kind': () =>
      Response.json({ code: 'invalid_request', request_id: 'x' }, { status: 400 }),
  }
  for (const [label, answer] of Object.entries(answers)) {
    const { client, call, storage, ends } = refusing(t, answer)
    await storage.set(session as KeptSession)
    t.equal(await call(), 1, label)
    t.equal(await call(), 1, `${label}: the next call tries again`)
    t.same([ends(), await storage.get()], [0, session], label)
    await t.rejects(client.session.refresh(), /the refresh was answered \d+, without a session/)
  }
})

t.test('a refresh whose response is cut off is retried at once', async (t) => {
  let count = 0
  const broken = () =>
    new Response(new ReadableStream({ start: (body) => body.error(new TypeError('terminated')) }))
  const { client, storage } = refusing(t, () =>
    count++ === 0 ? broken() : Response.json({ ...session, token: 'd.e.f' }),
  )
  await storage.set(session as KeptSession)
  t.equal(await client.session.refresh(), 'd.e.f')
  t.equal(count, 2)
})

t.test('a new token that is refused too is refreshed by the next call', async (t) => {
  let count = 0
  const { call, storage } = refusing(t, () =>
    Response.json({ ...session, token: `t.${count++}`, refresh_token: `r${count}` }),
  )
  await storage.set(session as KeptSession)
  t.equal(await call(), 1)
  t.equal(await call(), 1)
})

t.test('with a storage that cannot delete, an ended session is not refreshed again', async (t) => {
  const invalid = () => Response.json({ code: 'invalid_grant', request_id: 'x' }, { status: 401 })
  const deletes: Record<string, () => void | Promise<void>> = {
    silent: () => {},
    throwing: () => {
      throw new Error('the storage is read-only')
    },
    rejecting: async () => Promise.reject(new Error('the storage is read-only')),
  }
  for (const [label, remove] of Object.entries(deletes)) {
    const memory = memoryStorage()
    const { client, call, ends } = refusing(t, invalid, { ...memory, delete: remove })
    await memory.set(session as KeptSession)
    t.equal(await call(), 1, label)
    for (let again = 0; again < 3; again++) t.equal(await call(), 0, label)
    t.same([ends(), await client.session.user()], [1, null], label)
  }
})
