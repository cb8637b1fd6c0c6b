import t from 'tap'
import { createLatchkey, isProblem } from '../../../client/src/index.ts'
import { password } from '../../helper.ts'
import { claimsOf } from '../../support/authenticator.ts'
import { customer, enrolCustomer, service } from '../../support/client-service.ts'

const latchkey = await service(t)

t.test('a login with a second factor, and its signup sent again, ask for a code', async (t) => {
  const { client: first } = await customer(latchkey, 'alice')
  const { authenticator, recoveryCodes } = await enrolCustomer(latchkey, first)
  await customer(latchkey, 'bob')
  const sent: string[] = []
  const client = createLatchkey({
    baseUrl: latchkey.url,
    fetch: async (request) => {
      sent.push(`${request.url} ${await request.clone().text()}`)
      return fetch(request)
    },
  })
  await t.rejects(client.session.secondFactor('123456'), {
    message: 'no login waits for a second factor: log in first',
  })
  t.same(sent, [], 'no code is sent without a login')

  const plain = await client.session.logIn({ email: 'bob@example.com', password })
  t.same([plain.next, plain.data?.user.name], [undefined, 'bob'], 'without a factor, a session')
  await client.session.logOut()

  const wrong = await client.session.logIn({ email: 'alice@example.com', password: 'a wrong password' })
  t.same([wrong.next, wrong.error?.code], [undefined, 'invalid_credentials'])

  const login = await client.session.logIn({ email: 'alice@example.com', password })
  t.same(login.next, { step: 'second_factor', methods: ['totp', 'recovery_code'] })
  t.ok(isProblem(login.error, 'second_factor_required'))
  t.notMatch(JSON.stringify(login), /mfa_token/, 'an app may log the error')
  t.equal(await client.session.token(), null)

  const refused = await client.session.secondFactor(authenticator.wrongCode())
  t.ok(isProblem(refused.error, 'invalid_code'))
  t.notMatch(JSON.stringify(refused.error), authenticator.wrongCode())
  latchkey.nextStep()
  t.equal((await client.session.secondFactor(authenticator.code())).data?.user.name, 'alice')
  const token = (await client.session.token()) ?? ''
  t.match(claimsOf(token), { acr: 'aal2', amr: ['pwd', 'otp'] })
  t.ok((await client.GET('/api/auth/me')).data)
  await t.rejects(client.session.secondFactor(authenticator.code()), /no login waits/, 'once')

  await client.session.logOut()
  await client.session.logIn({ email: 'alice@example.com', password })
  t.ok((await client.session.secondFactor(recoveryCodes[0] ?? '')).data, 'a recovery code')
  for (const line of sent) t.notMatch(line.split(' ')[0], /\d{6}|mfa|token/, 'no secret in a URL')
})

t.test('a signup that is retried asks for the code of a factor that was set up meanwhile', async (t) => {
  const { client } = await customer(latchkey, 'carol')
  const account = { email: 'dave@example.com', password, name: 'Dave' }
  const idempotencyKey = crypto.randomUUID()
  t.ok((await client.session.signUp(account, { idempotencyKey })).data)
  const { authenticator } = await enrolCustomer(latchkey, client)
  await client.session.forget()
  const again = await client.session.signUp(account, { idempotencyKey })
  t.equal(again.next?.step, 'second_factor')
  latchkey.nextStep()
  t.equal((await client.session.secondFactor(authenticator.code())).data?.user.name, 'Dave')
})

t.test('another login, a logout and forget() end a login that waits for its code', async (t) => {
  const { client: first } = await customer(latchkey, 'erin')
  const { authenticator } = await enrolCustomer(latchkey, first)
  const { client } = await customer(latchkey, 'frank')
  const steps: Record<string, () => Promise<unknown>> = {
    'another login': () => client.session.logIn({ email: 'frank@example.com', password }),
    'a refused login': () =>
      client.session.logIn({ email: 'frank@example.com', password: 'not the password' }),
    forget: () => client.session.forget(),
  }
  for (const [label, step] of Object.entries(steps)) {
    t.ok((await client.session.logIn({ email: 'erin@example.com', password })).next)
    await step()
    await t.rejects(client.session.secondFactor(authenticator.code()), /no login waits/, label)
  }
})
