import Fastify from 'fastify'
import t from 'tap'
import { latchkeyAuth } from '../../plugins/auth.ts'
import { problemOf, secret } from '../helper.ts'
import { mint } from '../support/mint.ts'

const now = 1_800_000_000

/** One route with requirements, as another service would have it. */
async function routeWith(config: object) {
  const app = Fastify()
  await app.register(latchkeyAuth, { secret, clock: () => now })
  app.get('/here', { config: { access: 'user', ...config } }, async ({ user }) => user)
  return app
}

function tokenWith(claims: object): string {
  return mint(
    { typ: 'JWT' },
    { iss: undefined, aud: undefined, sid: undefined, iat: now, exp: now + 900, ...claims },
  )
}

async function answerTo(config: object, claims: object) {
  const app = await routeWith(config)
  const answer = await app.inject({ url: '/here', headers: { authorization: `Bearer ${tokenWith(claims)}` } })
  return {
    status: answer.statusCode,
    code: answer.statusCode === 200 ? undefined : problemOf(answer).code,
    challenge: answer.headers['www-authenticate'],
  }
}

t.test('a login that is too old or too weak is asked to authenticate again (RFC 9470)', async (t) => {
  const refused = (challenge: string) => ({
    status: 401,
    code: 'insufficient_user_authentication',
    challenge: `Bearer error="insufficient_user_authentication", ${challenge}`,
  })
  const passes = { status: 200, code: undefined, challenge: undefined }

  t.same(await answerTo({ maxAge: 300 }, { auth_time: now - 300 }), passes, 'to the second')
  t.same(await answerTo({ maxAge: 300 }, { auth_time: now - 301 }), refused('max_age=300'), 'no leeway')
  t.same(await answerTo({ maxAge: 300 }, {}), refused('max_age=300'), 'a token that does not say')
  t.same(await answerTo({ maxAge: 300 }, { auth_time: String(now) }), refused('max_age=300'))
  t.same(await answerTo({ acr: 'aal2' }, { acr: 'aal2' }), passes)
  t.same(await answerTo({ acr: 'aal1' }, { acr: 'aal2' }), passes, 'the stronger one is enough')
  t.same(await answerTo({ acr: 'aal2' }, { acr: 'aal1' }), refused('acr_values="aal2"'))
  t.same(await answerTo({ acr: 'aal2' }, {}), refused('acr_values="aal2"'))
  t.same(await answerTo({ acr: 'aal1' }, { acr: 'aal9' }), refused('acr_values="aal1"'))
  t.same(
    await answerTo({ maxAge: 300, acr: 'aal2' }, { auth_time: now, acr: 'aal1' }),
    refused('max_age=300, acr_values="aal2"'),
  )
  t.same(await answerTo({ scope: 'notes:read' }, {}), passes, 'a session has every scope')
})

t.test('a requirement that cannot be met stops the start', async (t) => {
  await t.rejects(routeWith({ maxAge: -1 }), { message: /GET.*\/here: config\.maxAge/ })
  await t.rejects(routeWith({ maxAge: 1.5 }), { message: /config\.maxAge/ })
  await t.rejects(routeWith({ acr: 'aal3' }), { message: /config\.acr/ })
  await t.rejects(routeWith({ scope: 'Notes Read' }), { message: /config\.scope/ })
  await t.rejects(routeWith({ access: 'public', maxAge: 60 }), {
    message: /config\.maxAge needs access "user" or "owner"$/,
  })
  await t.rejects(routeWith({ access: 'public', scope: 'a' }), {
    message: /config\.scope needs access "user", "owner" or "service"$/,
  })
  await t.rejects(routeWith({ access: 'service', scope: 'a', acr: 'aal2' }), {
    message: /config\.acr needs access "user" or "owner"$/,
  })
})
