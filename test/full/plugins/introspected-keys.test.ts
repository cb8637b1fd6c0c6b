import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type LatchkeyAuthOptions, latchkeyAuth } from '../../../plugins/auth.ts'
import { newKeyText } from '../../../src/api-keys/text.ts'
import { problemOf, secret, type TestUser, twoUsers, unauthorized } from '../../helper.ts'
import { clientSecret, serviceClients } from '../../support/service-client.ts'

const latchkeyUrl = 'http://latchkey.test'
const env = serviceClients({ notes: ['revocations:read', 'introspect'], reader: ['revocations:read'] })

/** A Latchkey behind a relay, which counts, holds back and replaces answers of introspection. */
async function relayed(t: Test, clock?: () => number) {
  const users = await twoUsers(t, { env, ...(clock ? { clock } : {}) })
  const inner = await users.app.listen({ port: 0, host: '127.0.0.1' })
  const control = {
    introspections: 0,
    cursorsLost: 0,
    held: undefined as Promise<void> | undefined,
    answer: undefined as { status: number; body?: string } | undefined,
  }
  const relay = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    try {
      const { authorization = '', 'content-type': type } = request.headers
      const answer = await fetch(`${inner}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { authorization, ...(type ? { 'content-type': type } : {}) },
        ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
        signal: gone.signal,
      })
      const body = await answer.text()
      if (request.url !== '/oauth/introspect') {
        if (control.cursorsLost > 0 && request.url?.includes('after=')) {
          control.cursorsLost--
          response.writeHead(400).end()
          return
        }
        response.writeHead(answer.status, { link: answer.headers.get('link') ?? '' }).end(body)
        return
      }
      control.introspections++
      await control.held
      response.writeHead(control.answer?.status ?? answer.status).end(control.answer?.body ?? body)
    } catch {
      response.destroy()
    }
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.teardown(() => relay.close())
  const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`
  return { ...users, control, url }
}

async function neighbour(t: Test, url: string, options: Partial<LatchkeyAuthOptions> = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  const revocations = { clientId: 'notes', clientSecret, url }
  await app.register(latchkeyAuth, { latchkeyUrl, secret, revocations, ...options })
  const read = { access: 'owner', scope: 'tasks:read' } as const
  app.get('/api/:user_id/notes', { config: read }, async ({ owner, user }) => [
    owner,
    user?.scopes,
    user?.keyId,
  ])
  app.post('/api/:user_id/notes', { config: { ...read, scope: 'tasks:write' } }, async () => 'written')
  app.get('/session', { config: { access: 'user' } }, async ({ owner }) => owner)
  app.get('/recent', { config: { access: 'user', scope: 'tasks:read', maxAge: 1e9 } }, async () => 'opened')
  app.get('/strong', { config: { access: 'user', scope: 'tasks:read', acr: 'aal1' } }, async () => 'opened')
  app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => user?.sub ?? 'nobody')
  app.get('/machines', { config: { access: 'service', scope: 'tasks:read' } }, async () => 'opened')
  await app.ready()
  return app
}

async function createKey(user: TestUser, scopes: readonly string[] = ['tasks:read']) {
  const answer = await user.call('POST', '/api/auth/keys', { name: 'CI', scopes, expires_in_days: 1 })
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json<{ id: string; key: string }>()
}

const ask = (app: FastifyInstance, url: string, token: string, method: 'GET' | 'HEAD' | 'POST' = 'GET') =>
  app.inject({ method, url, headers: { authorization: `Bearer ${token}` } })

const typoOf = (key: string) => `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`

t.test('a key opens what declares its scope at another service, for its owner', async (t) => {
  const { alice, bob, control, url } = await relayed(t)
  const notes = await neighbour(t, url)
  const path = `/api/${alice.id}/notes`
  const [hers, his] = [await createKey(alice), await createKey(bob)]

  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(notes, path, hers.key)))
  for (const answer of answers) t.equal(answer.statusCode, 200)
  t.same((await ask(notes, path, hers.key)).json(), [alice.id, ['tasks:read'], hers.id])
  t.equal(control.introspections, 1, 'asked once, also by requests at once')

  t.match(problemOf(await ask(notes, path, his.key)), { status: 403, code: 'not_owner' })
  t.equal((await ask(notes, `/api/${bob.id}/notes`, his.key)).statusCode, 200)
  for (const [method, route, challenge] of [
    ['POST', path, 'Bearer error="insufficient_scope", scope="tasks:write"'],
    ['GET', '/session', 'Bearer error="insufficient_scope"'],
    ['HEAD', '/session', 'Bearer error="insufficient_scope"'],
  ] as const) {
    const answer = await ask(notes, route, hers.key, method)
    t.same([answer.statusCode, answer.headers['www-authenticate']], [403, challenge], `${method} ${route}`)
  }
  for (const route of ['/recent', '/strong'])
    t.match(problemOf(await ask(notes, route, hers.key)), {
      status: 401,
      code: 'insufficient_user_authentication',
    })
  t.equal((await ask(notes, '/greeting', hers.key)).body, 'nobody')
  t.match(problemOf(await ask(notes, '/machines', hers.key)), { status: 401, code: 'invalid_client' })
  const inQuery = await notes.inject({ url: `${path}?access_token=${hers.key}` })
  t.equal(inQuery.statusCode, 401)

  const before = control.introspections
  for (const text of [typoOf(hers.key), 'lk_pat_', `lk_pat_${'0'.repeat(37)}`])
    t.same(problemOf(await ask(notes, path, text)), unauthorized)
  t.equal(control.introspections, before, 'a typo is not asked about')
  const unknown = newKeyText()
  for (const _ of [1, 2]) t.same(problemOf(await ask(notes, path, unknown)), unauthorized)
  t.equal(control.introspections, before + 1, 'an unknown key is asked about once')
})

t.test('a key that ends is a 401 at the other service within a second', async (t) => {
  const { alice, bob, control, url } = await relayed(t)
  const notes = await neighbour(t, url)
  const [hers, other, his] = [await createKey(alice), await createKey(alice), await createKey(bob)]
  const opens = async (user: TestUser, key: string) =>
    (await ask(notes, `/api/${user.id}/notes`, key)).statusCode
  for (const { key } of [hers, other]) t.equal(await opens(alice, key), 200)
  t.equal(await opens(bob, his.key), 200)

  await alice.call('DELETE', `/api/auth/keys/${hers.id}`)
  const began = performance.now()
  while ((await opens(alice, hers.key)) === 200) await setImmediate()
  t.ok(performance.now() - began < 1_000)
  t.same(problemOf(await ask(notes, `/api/${alice.id}/notes`, hers.key)), unauthorized)
  t.equal(await opens(alice, other.key), 200)
  t.equal(await opens(bob, his.key), 200)

  const late = await createKey(alice)
  let release = () => {}
  control.held = new Promise((resolve) => {
    release = resolve
  })
  const { introspections } = control
  const pending = ask(notes, `/api/${alice.id}/notes`, late.key)
  while (control.introspections === introspections) await setImmediate()
  await alice.call('DELETE', `/api/auth/keys/${late.id}`)
  await bob.call('POST', '/api/auth/logout')
  // The feed has both in order.
  while ((await ask(notes, '/session', bob.token)).statusCode === 200) await setImmediate()
  release()
  t.same(problemOf(await pending), unauthorized, 'it was active when it was asked about')
  control.held = undefined
  t.equal(await opens(alice, late.key), 401, 'and nothing was remembered')
  t.equal(await opens(alice, other.key), 200)
  t.equal(await opens(bob, his.key), 200, 'a logout leaves keys')
})

t.test('a remembered key is refused when it expires', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const clock = () => now
  const { alice, control, url } = await relayed(t)
  const notes = await neighbour(t, url, { clock })
  const { key } = await createKey(alice)
  const path = `/api/${alice.id}/notes`
  t.equal((await ask(notes, path, key)).statusCode, 200)
  now += 86_400 + 60
  t.same(problemOf(await ask(notes, path, key)), unauthorized)
  t.equal(control.introspections, 1)
})

t.test('keys are asked about again when the Latchkey has another database', async (t) => {
  const { alice, bob, control, url } = await relayed(t)
  const notes = await neighbour(t, url)
  const { key } = await createKey(alice)
  const path = `/api/${alice.id}/notes`
  t.equal((await ask(notes, path, key)).statusCode, 200)
  control.cursorsLost = 1
  await bob.call('POST', '/api/auth/logout')
  while (control.introspections < 2) {
    if ((await ask(notes, path, key)).statusCode !== 200) throw new Error('the key is refused')
    await setImmediate()
  }
  t.equal(control.cursorsLost, 0)
  t.equal(control.introspections, 2)
})

t.test('what the Latchkey does not answer is a 503, and is asked again', async (t) => {
  const { alice, control, url } = await relayed(t)
  const notes = await neighbour(t, url)
  const { key } = await createKey(alice)
  const path = `/api/${alice.id}/notes`
  const claims = { active: true, sub: alice.id, jti: 'key_1', scope: 'tasks:read', exp: 4e9 }
  const faults = {
    '503': { status: 503 },
    '401': { status: 401 },
    'not JSON': { status: 200, body: '<html>' },
    'another document': { status: 200, body: '{}' },
    'a session': { status: 200, body: JSON.stringify({ ...claims, scope: undefined }) },
    'no id': { status: 200, body: JSON.stringify({ ...claims, jti: undefined }) },
    'no end': { status: 200, body: JSON.stringify({ ...claims, exp: undefined }) },
    'a client': { status: 200, body: JSON.stringify({ ...claims, sub: undefined }) },
    endless: { status: 200, body: 'x'.repeat(100_000) },
    elsewhere: { status: 307 },
  }
  for (const [name, answer] of Object.entries(faults)) {
    control.answer = answer
    const refused = await ask(notes, path, key)
    t.match(problemOf(refused), { status: 503, code: 'service_unavailable' }, name)
    t.match(refused.headers['retry-after'], /^\d+$/)
    t.equal((await ask(notes, '/session', alice.token)).statusCode, 200, 'tokens pass')
  }
  control.answer = undefined
  t.equal((await ask(notes, path, key)).statusCode, 200)

  let release = () => {}
  control.held = new Promise((resolve) => {
    release = resolve
  })
  const { introspections } = control
  const guesses = Array.from({ length: 50 }, () => ask(notes, path, newKeyText()))
  while (control.introspections < introspections + 50) await setImmediate()
  t.match(problemOf(await ask(notes, path, newKeyText())), { status: 503, code: 'service_unavailable' })
  t.equal((await ask(notes, path, key)).statusCode, 200, 'a known key passes')
  release()
  for (const guess of guesses) t.equal((await guess).statusCode, 401)
})

t.test('without the revocations, the scope or the Latchkey as an issuer, keys are 401', async (t) => {
  const { alice, control, url } = await relayed(t)
  const { key } = await createKey(alice)
  const path = `/api/${alice.id}/notes`
  const reader = { clientId: 'reader', clientSecret, url }
  const without: Record<string, Partial<LatchkeyAuthOptions>> = {
    revocations: { revocations: undefined } as never,
    issuer: { latchkeyUrl: undefined } as never,
    scope: { revocations: reader },
  }
  for (const [name, options] of Object.entries(without)) {
    const notes = await neighbour(t, url, options)
    for (const _ of [1, 2]) t.same(problemOf(await ask(notes, path, key)), unauthorized, name)
  }
  t.equal(control.introspections, 1, 'a refused client pauses')
})
