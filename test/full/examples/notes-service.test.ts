import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { notesService } from '../../../examples/notes-service/service.ts'
import type { LatchkeyAuthOptions } from '../../../plugins/auth.ts'
import { rotateKeys } from '../../../src/keys/key-rotation.ts'
import {
  migratedDatabase,
  problemOf,
  secret,
  signUp,
  type TestUser,
  testApp,
  twoUsers,
  unauthorized,
} from '../../helper.ts'
import { servedKeys } from '../../support/jwks.ts'
import { proved } from '../../support/prove.ts'

const latchkeyUrl = 'http://latchkey.test'

async function notes(t: Test, trust: LatchkeyAuthOptions): Promise<FastifyInstance> {
  const app = await notesService(trust)
  t.teardown(() => app.close())
  return app
}

const ask = (app: FastifyInstance, url: string, token?: string) =>
  app.inject({ url, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

/** The guarantees of the example, for tokens of either kind. */
async function servesBoth(t: Test, app: FastifyInstance, alice: TestUser, bob: TestUser) {
  const path = `/api/${alice.id}/notes`
  const write = (token: string) =>
    app.inject({
      method: 'POST',
      url: path,
      payload: { text: 'buy milk' },
      headers: { authorization: `Bearer ${token}` },
    })
  const made = await write(alice.token)
  t.equal(made.statusCode, 201)
  const note = made.json()
  t.equal(note.text, 'buy milk')
  t.same((await ask(app, path, alice.token)).json(), [note])
  t.same((await ask(app, `${path}/${note.id}`, alice.token)).json(), note)
  t.equal((await ask(app, `/api/${bob.id}/notes/${note.id}`, bob.token)).statusCode, 404)
  t.same((await ask(app, `/api/${bob.id}/notes`, bob.token)).json(), [], 'no note of another user')

  for (const answer of [await ask(app, path, bob.token), await write(bob.token)]) {
    t.match(problemOf(answer), { media: /^application\/problem\+json/, status: 403, code: 'not_owner' })
  }
  const anonymous = await ask(app, path)
  t.same(problemOf(anonymous), unauthorized)
  t.equal(anonymous.headers['www-authenticate'], 'Bearer')
  const forged = await ask(app, path, `${alice.token.slice(0, -8)}AAAAAAAA`)
  t.same(problemOf(forged), unauthorized)
  t.equal(forged.headers['www-authenticate'], 'Bearer error="invalid_token"')

  t.equal((await ask(app, '/')).statusCode, 200)
  t.same((await ask(app, '/greeting')).json(), { greeting: 'Hello stranger' })
  t.same((await ask(app, '/greeting', 'forged')).json(), { greeting: 'Hello stranger' })
  t.same((await ask(app, '/greeting', alice.token)).json(), { greeting: `Hello ${alice.id}` })
}

t.test('tokens under HS256 are verified with the shared secret', async (t) => {
  const { app: latchkey, alice, bob } = await twoUsers(t)
  const app = await notes(t, { latchkeyUrl, secret })
  await servesBoth(t, app, alice, bob)
  const { token } = (
    await latchkey.inject({
      method: 'POST',
      url: '/api/auth/refresh',
      payload: { refresh_token: alice.refreshToken },
    })
  ).json()
  t.equal((await ask(app, `/api/${alice.id}/notes`, token)).statusCode, 200, 'a refreshed token')
})

t.test('tokens under EdDSA are verified by the JWKS, also during a key rotation (J20)', async (t) => {
  const db = await migratedDatabase(t)
  const latchkey = await testApp(t, { env: { ALGORITHM: 'EdDSA' }, db })
  const [alice, bob] = [await signUp(latchkey, 'alice'), await signUp(latchkey, 'bob')]
  const keys = await servedKeys(t)
  keys.serve(latchkey)
  const app = await notes(t, { latchkeyUrl, jwksUrl: keys.jwksUrl })
  await servesBoth(t, app, alice, bob)
  t.equal(keys.asked(), 1, 'one fetch of the keys')

  const clock = () => Math.floor(Date.now() / 1000)
  await rotateKeys({ db, algorithm: 'EdDSA', secret, previousSecret: undefined, clock }, { atOnce: true })
  await latchkey.signingKeys?.reload()
  const carol = await signUp(latchkey, 'carol')
  t.equal((await ask(app, `/api/${carol.id}/notes`, carol.token)).statusCode, 200, 'signed by the new key')
  t.equal((await ask(app, `/api/${alice.id}/notes`, alice.token)).statusCode, 200, 'signed by the old key')
  t.equal(keys.asked(), 2)

  keys.serve(null)
  t.equal((await ask(app, `/api/${carol.id}/notes`, carol.token)).statusCode, 200, 'known keys still verify')
})

t.test('503 while Latchkey is down at the start, then it recovers (A13)', async (t) => {
  const latchkey = await testApp(t, { env: { ALGORITHM: 'EdDSA' } })
  const alice = await signUp(latchkey, 'alice')
  const keys = await servedKeys(t)
  const app = await notes(t, { latchkeyUrl, jwksUrl: keys.jwksUrl })
  t.equal((await ask(app, '/')).statusCode, 200, 'the service starts')
  const path = `/api/${alice.id}/notes`
  const unknown = await ask(app, path, alice.token)
  t.match(problemOf(unknown), {
    media: /^application\/problem\+json/,
    status: 503,
    code: 'service_unavailable',
  })
  t.same(problemOf(await ask(app, path)), unauthorized, 'a request without a token gets 401')
  t.same((await ask(app, '/greeting', alice.token)).json(), { greeting: 'Hello stranger' })

  keys.serve(latchkey)
  await delay(Number(unknown.headers['retry-after']) * 1000)
  t.equal((await ask(app, path, alice.token)).statusCode, 200, 'after the time in Retry-After')
})

t.test('latchkey-prove finds that nobody reaches the notes of another user', async (t) => {
  const { alice, bob } = await twoUsers(t)
  const app = await notes(t, { latchkeyUrl, secret })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const run = await proved(t, { document: `${url}/openapi.json`, url, tokens: [alice.token, bob.token] })
  t.equal(run.code, 0, run.out)
  const notesPath = '/api/{user_id}/notes'
  t.same(
    run.json.operations.map(({ operation, verdict, own }) => [operation, verdict, own]),
    [
      [`POST ${notesPath}`, 'sound', { A: 201, B: 201 }],
      [`GET ${notesPath}`, 'sound', { A: 200, B: 200 }],
      [`GET ${notesPath}/{note_id}`, 'sound', { A: 200, B: 200 }],
      [`DELETE ${notesPath}/{note_id}`, 'sound', { A: 204, B: 204 }],
    ],
  )
  t.same((await ask(app, `/api/${alice.id}/notes`, alice.token)).json(), [], 'nothing is left behind')
})
