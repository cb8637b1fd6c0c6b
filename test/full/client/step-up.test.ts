import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { createLatchkey, isProblem, type Latchkey, memoryStorage } from '../../../client/src/index.ts'
import { password } from '../../helper.ts'
import { claimsOf } from '../../support/authenticator.ts'
import { customer, enrolCustomer, type Service, service } from '../../support/client-service.ts'

/** The service with routes that need a strong login and a recent one. */
async function demanding(t: Test): Promise<Service> {
  return service(t, (app) => {
    app.post('/strong', { config: { access: 'user', acr: 'aal2' } }, async ({ body }) => body)
    app.post('/recent', { config: { access: 'user', maxAge: 600 } }, async ({ body }) => body)
  })
}

type Call = (path: string, init: object) => Promise<{ data?: unknown; error?: unknown; response: Response }>

/** Calls a route that the contract does not have. */
function post(client: Latchkey, path: string, body: object = {}) {
  return (client.POST as unknown as Call)(path, { body })
}

const latchkey = await demanding(t)

const many = Array.from({ length: 20 }, (_, at) => at)

/** An app whose step-up is `answer`; it counts and keeps what it was asked. */
function asking(answer: () => Promise<unknown>) {
  const needs: object[] = []
  return {
    needs,
    onStepUp: async (need: object) => {
      needs.push(need)
      await answer()
    },
  }
}

t.test('a session that has grown old is asked for the password again', async (t) => {
  const app = asking(() => client.session.reauthenticate(password))
  const { client, id } = await customer(latchkey, 'carol', app)
  t.ok((await post(client, '/recent')).data)
  await sql`update sessions set authenticated_at = now() - interval '1 hour' where user_id = ${id}`.execute(
    latchkey.app.db,
  )
  await client.session.refresh()
  const before = await client.session.token()
  t.same((await post(client, '/recent', { title: 'x' })).data, { title: 'x' })
  t.same(app.needs, [{ maxAge: 600 }])
  t.not(await client.session.token(), before)
  t.ok(await client.session.refresh(), 'the refresh token of the new session is stored')
})

t.test('20 calls that need a second factor ask once, and each is repeated with its body', async (t) => {
  const codes: (string | undefined)[] = []
  const app = asking(async () => {
    for (const code of codes.splice(0)) {
      const { error } = await client.session.reauthenticate(password, code)
      if (code === undefined)
        t.ok(isProblem(error, 'second_factor_required'), 'it says that a code is needed')
      if (isProblem(error)) t.notMatch(JSON.stringify(error), password)
    }
  })
  latchkey.refreshes()
  const { client, ends } = await customer(latchkey, 'alice', app)
  const { authenticator } = await enrolCustomer(latchkey, client)
  t.match(claimsOf((await client.session.token()) ?? ''), { acr: 'aal1' })
  latchkey.nextStep()
  codes.push(undefined, authenticator.wrongCode(), authenticator.code())
  const answers = await Promise.all(many.map((at) => post(client, '/strong', { at })))
  t.same(
    answers.map(({ data }) => data),
    many.map((at) => ({ at })),
  )
  t.same(app.needs, [{ acr: 'aal2' }])
  t.match(claimsOf((await client.session.token()) ?? ''), { acr: 'aal2', amr: ['pwd', 'otp'] })
  t.same([latchkey.refreshes(), ends()], [0, 0], 'it is not refreshed as an expired token is')

  latchkey.expireTokens()
  t.ok((await post(client, '/strong')).data, 'after a refresh it is as strong')
  t.equal(app.needs.length, 1)
})

t.test('who gives up gets the 401, and is asked again at the next call only', async (t) => {
  const app = asking(async () => {})
  const { client, ends } = await customer(latchkey, 'dave', app)
  const sent: string[] = []
  latchkey.app.server.on('request', ({ url }) => sent.push(url ?? ''))
  const answers = await Promise.all(many.map(() => post(client, '/strong')))
  for (const { error } of answers) t.ok(isProblem(error, 'insufficient_user_authentication'))
  t.same([app.needs.length, sent.length, ends()], [1, 20, 0])
  await post(client, '/strong')
  t.equal(app.needs.length, 2)
  t.ok(await client.session.user(), 'the session is kept')
})

t.test('what the service still refuses is repeated once, and what the app throws is thrown', async (t) => {
  let answer: () => Promise<unknown> = async () => {
    // Tokens have their time of login in seconds: one of a second ago.
    await sql`update sessions set authenticated_at = now() - interval '1 hour'`.execute(latchkey.app.db)
    await client.session.refresh()
  }
  const app = asking(() => answer())
  const { client } = await customer(latchkey, 'erin', app)
  const sent: string[] = []
  latchkey.app.server.on('request', ({ url }) => sent.push(url ?? ''))
  t.ok(isProblem((await post(client, '/strong')).error, 'insufficient_user_authentication'))
  t.same([app.needs.length, sent], [1, ['/strong', '/api/auth/refresh', '/strong']])
  answer = () => Promise.reject(new Error('the dialog is broken'))
  await t.rejects(post(client, '/strong'), { message: 'the dialog is broken' })
})

t.test('without onStepUp, and for a token of its own, a call returns the 401', async (t) => {
  const { client } = await customer(latchkey, 'frank')
  latchkey.refreshes()
  t.ok(isProblem((await post(client, '/strong')).error, 'insufficient_user_authentication'))
  t.equal(latchkey.refreshes(), 0)
  const anonymous = createLatchkey({ baseUrl: latchkey.url, onStepUp: async () => t.fail('asked') })
  const headers = { authorization: `Bearer ${await client.session.token()}` }
  const own = await (anonymous.POST as unknown as Call)('/strong', { body: {}, headers })
  t.equal(own.response.status, 401)
  t.ok(isProblem((await anonymous.session.reauthenticate(password)).error, 'unauthorized'))
})

t.test('a late 401, and clients of one storage, use the login of the first', async (t) => {
  const storage = memoryStorage()
  let late = () => {}
  const held = new Promise<void>((resolve) => {
    late = resolve
  })
  const app = asking(async () => {
    await client.session.reauthenticate(password, authenticator.code())
  })
  const { client } = await customer(latchkey, 'grace', { ...app, storage })
  const { authenticator } = await enrolCustomer(latchkey, client)
  latchkey.nextStep()
  const other = createLatchkey({ ...app, baseUrl: latchkey.url, storage })
  const slow = createLatchkey({
    ...app,
    baseUrl: latchkey.url,
    storage,
    fetch: async (request) => {
      const answer = await fetch(request)
      if (answer.status === 401) await held
      return answer
    },
  })
  const third = post(slow, '/strong', { at: 3 })
  const answers = await Promise.all([post(client, '/strong', { at: 1 }), post(other, '/strong', { at: 2 })])
  late()
  t.same(
    [...answers, await third].map(({ data }) => data),
    [{ at: 1 }, { at: 2 }, { at: 3 }],
  )
  t.equal(app.needs.length, 1)
})

t.test('a call of one user is not repeated as another, who logged in meanwhile', async (t) => {
  const { client: bob } = await customer(latchkey, 'bob')
  const { authenticator } = await enrolCustomer(latchkey, bob)
  latchkey.nextStep()
  const app = asking(async () => {
    await client.session.logIn({ email: 'bob@example.com', password })
    await client.session.secondFactor(authenticator.code())
  })
  const { client } = await customer(latchkey, 'heidi', app)
  t.ok(isProblem((await post(client, '/strong')).error, 'insufficient_user_authentication'))
  t.equal((await client.session.user())?.name, 'bob')
  t.match(claimsOf((await client.session.token()) ?? ''), { acr: 'aal2' })
})

t.test('nothing refreshes while the session is replaced, so the last refresh token is stored', async (t) => {
  const order: string[] = []
  let refreshing: Promise<unknown> = Promise.resolve()
  const { client, ends } = await customer(latchkey, 'ivan', {
    fetch: async (request) => {
      if (request.url.endsWith('/refresh')) order.push('refresh')
      const answer = await fetch(request)
      if (request.url.endsWith('/reauthenticate')) {
        refreshing = client.session.refresh()
        await new Promise(setImmediate)
        order.push('reauthenticated')
      }
      return answer
    },
  })
  t.ok((await client.session.reauthenticate(password)).data)
  t.ok(await refreshing)
  t.same(order, ['reauthenticated'], 'the refresh waits, and takes the session of the new login')
  await sql`update sessions set last_used_at = now() - interval '1 minute'`.execute(latchkey.app.db)
  t.ok(await client.session.refresh())
  t.equal(ends(), 0)
})

t.test('a reauthentication whose answer was lost does not end the session', async (t) => {
  let lost = 0
  const { client, ends } = await customer(latchkey, 'judy', {
    fetch: async (request) => {
      const answer = await fetch(request)
      if (request.url.endsWith('/reauthenticate') && lost++ === 0) throw new TypeError('fetch failed')
      return answer
    },
  })
  await t.rejects(client.session.reauthenticate(password), TypeError)
  await sql`update sessions set last_used_at = now() - interval '1 minute'`.execute(latchkey.app.db)
  t.ok(await client.session.refresh())
  t.equal(ends(), 0)
})
