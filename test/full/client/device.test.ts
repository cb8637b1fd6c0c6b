import t from 'tap'
import { createLatchkey, webStorage } from '../../../client/src/index.ts'
import { password } from '../../helper.ts'
import { customer, service } from '../../support/client-service.ts'

/** The refresh token of each login; undefined without one. */
function recorded() {
  const sent: (string | undefined)[] = []
  return {
    sent,
    fetch: async (request: Request) => {
      if (request.url.endsWith('/login')) {
        sent.push(((await request.clone().json()) as { refresh_token?: string }).refresh_token)
      }
      return fetch(request)
    },
  }
}

function textStorage() {
  const kept = new Map<string, string>()
  return {
    kept,
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  }
}

t.test(
  'after a logout, a login sends the last refresh token of the same account, and no other',
  async (t) => {
    const latchkey = await service(t)
    const { sent, fetch } = recorded()
    await customer(latchkey, 'bob')
    const { client } = await customer(latchkey, 'alice', { fetch })
    await client.session.logOut()
    t.equal(await client.session.token(), null)
    await client.session.logIn({ email: 'bob@example.com', password })
    t.same(sent, [undefined], 'no token of another user')
    await client.session.logOut()
    await client.session.logIn({ email: 'BOB@example.com', password })
    t.match(sent[1], /^[\w-]{60,}$/)
    t.not(await client.session.token(), null)
    await client.session.logIn({ email: 'bob@example.com', password })
    t.match(sent[2], /^[\w-]{60,}$/, 'also the token of a live session')
    t.not(sent[2], sent[1])
  },
)

t.test(
  'webStorage keeps the token of a device beyond the page, also when the service has ended its session',
  async (t) => {
    const latchkey = await service(t)
    const { sent, fetch } = recorded()
    const texts = textStorage()
    const { client, id, ends } = await customer(latchkey, 'alice', { storage: webStorage(texts) })
    const { refresh_token } = JSON.parse(texts.getItem('latchkey') ?? '')
    await latchkey.app.db.deleteFrom('sessions').where('user_id', '=', id).execute()
    latchkey.expireTokens()
    t.equal((await client.GET('/api/auth/me')).response.status, 401)
    t.equal(ends(), 1)
    t.same([...texts.kept.keys()], ['latchkey:device'])

    const later = createLatchkey({ baseUrl: latchkey.url, storage: webStorage(texts), fetch })
    const { error } = await later.session.logIn({ email: 'alice@example.com', password: 'a wrong guess' })
    t.match(error, { code: 'invalid_credentials' })
    t.ok((await later.session.logIn({ email: 'alice@example.com', password })).data)
    t.same(sent, [refresh_token, refresh_token])
  },
)

t.test('forget() keeps no token, since the session may continue', async (t) => {
  const latchkey = await service(t)
  const { sent, fetch } = recorded()
  const texts = textStorage()
  const { client } = await customer(latchkey, 'alice', { storage: webStorage(texts), fetch })
  await client.session.forget()
  t.equal(texts.kept.size, 0)
  for (const junk of [
    '{',
    '7',
    '{"email":7,"refresh_token":"x"}',
    '{"email":"alice@example.com","refresh_token":7}',
    '{"email":"alice@example.com","refresh_token":""}',
  ]) {
    texts.setItem('latchkey:device', junk)
    t.ok((await client.session.logIn({ email: 'alice@example.com', password })).data)
    await client.session.forget()
  }
  t.same(
    sent,
    Array.from({ length: 5 }, () => undefined),
  )
})
