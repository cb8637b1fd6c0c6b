import { setImmediate } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import { latchkeyAuth } from '../../../plugins/auth.ts'
import { problemOf, secret, twoUsers, unauthorized } from '../../helper.ts'
import { deskOf, deskEnv as env, foreignKey, foreignToken, on } from '../../support/desk.ts'
import { mint } from '../../support/mint.ts'
import { clientSecret, serviceClients } from '../../support/service-client.ts'

const latchkeyUrl = 'http://latchkey.test'

t.test('a logout at the Latchkey is a 401 at a service that reads its revocations', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: serviceClients({ notes: ['revocations:read'] }) })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const notes = Fastify()
  t.teardown(() => notes.close())
  const revocations = { clientId: 'notes', clientSecret, url }
  let refusedByOwn = false
  await notes.register(latchkeyAuth, {
    latchkeyUrl,
    secret,
    revocations,
    assertLive() {
      if (refusedByOwn) throw new Error('over')
    },
  })
  notes.get('/me', { config: { access: 'user' } }, async ({ owner }) => owner)
  const me = (token: string) => notes.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
  t.equal((await me(alice.token)).statusCode, 200, 'known as soon as it is ready')

  t.equal((await alice.call('POST', '/api/auth/logout')).statusCode, 204)
  const began = performance.now()
  while ((await me(alice.token)).statusCode === 200) await setImmediate()
  t.ok(performance.now() - began < 1_000)
  t.same(problemOf(await me(alice.token)), unauthorized)
  t.equal((await me(bob.token)).statusCode, 200)
  refusedByOwn = true
  t.equal((await me(bob.token)).statusCode, 401, 'assertLive has its say too')

  const closing = performance.now()
  await notes.close()
  t.ok(performance.now() - closing < 1_000, 'no waiting request holds it up')
})

t.test('a ban, and its end, reach a service that reads the revocations', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const notes = Fastify()
  t.teardown(() => notes.close())
  const { TRUSTED_ISSUERS } = env
  const [{ issuer, audience, secret: issuerSecret }] = JSON.parse(TRUSTED_ISSUERS)
  await notes.register(latchkeyAuth, {
    latchkeyUrl,
    secret,
    trustedIssuers: [{ issuer, audience, secret: issuerSecret }],
    revocations: { clientId: 'neighbour', clientSecret, url },
  })
  notes.get('/me', { config: { access: 'user' } }, async ({ owner }) => owner)
  const statusOf = async (token: string) =>
    (await notes.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).statusCode
  const becomes = async (status: number, token: string) => {
    while ((await statusOf(token)) !== status) await setImmediate()
    t.pass(`${status}`)
  }
  const desk = deskOf(app)
  const later = Math.floor(Date.now() / 1000) + 5
  for (const token of [alice.token, foreignToken('eve')]) t.equal(await statusOf(token), 200)

  await desk('POST', on(alice.id, 'ban'), { reason: 'Spam' })
  await desk('POST', on(foreignKey('eve'), 'ban'), { reason: 'Spam' })
  await becomes(401, alice.token)
  await becomes(401, foreignToken('eve', later))
  t.equal(await statusOf(bob.token), 200)
  t.equal(await statusOf(foreignToken('zoe')), 200)

  await desk('POST', on(foreignKey('eve'), 'unban'))
  await becomes(200, foreignToken('eve', later))
  t.equal(await statusOf(foreignToken('eve', later - 10)), 401, 'one from before the ban')
  t.equal(await statusOf(alice.token), 401)
})

t.test('a service whose Latchkey is away starts, and refuses tokens', async (t) => {
  const notes = Fastify()
  t.teardown(() => notes.close())
  const revocations = { clientId: 'notes', clientSecret, url: 'http://127.0.0.1:1' }
  await notes.register(latchkeyAuth, { latchkeyUrl, secret, revocations })
  notes.get('/me', { config: { access: 'user' } }, async ({ owner }) => owner)

  const answer = await notes.inject({ url: '/me', headers: { authorization: `Bearer ${mint()}` } })
  t.match(problemOf(answer), { status: 503, code: 'service_unavailable' })
  t.match(answer.headers['retry-after'], /^\d+$/)
})

t.test('faulty options stop the start', async (t) => {
  const good = { clientId: 'notes', clientSecret }
  for (const [options, message] of [
    [{ secret, revocations: good }, /needs latchkeyUrl, or an http/],
    [{ latchkeyUrl, secret, revocations: { ...good, url: 'latchkey' } }, /needs latchkeyUrl, or an http/],
    [{ latchkeyUrl, secret, revocations: { ...good, clientId: '' } }, /needs clientId and clientSecret/],
    [{ latchkeyUrl, secret, revocations: { ...good, clientSecret: '' } }, /needs clientId and clientSecret/],
  ] as const) {
    await t.rejects(async () => Fastify().register(latchkeyAuth, options), { message })
  }
})
