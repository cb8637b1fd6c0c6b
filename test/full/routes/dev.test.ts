import { createHash } from 'node:crypto'
import t from 'tap'
import { english } from '../../../src/mail/texts.ts'
import { password, problemOf, registeredRoutes, testApp } from '../../helper.ts'
import { post, tokenTo } from '../../support/mailbox.ts'

const development = { NODE_ENV: 'development', PUBLIC_URL: 'http://127.0.0.1:8000' }

t.test('/dev/mailbox shows the mails, and the next request for use without a frontend', async (t) => {
  const app = await testApp(t, { env: development })
  t.match((await app.inject('/dev/mailbox')).body, /No mail yet/)
  const email = "o'neil&x@example.com"
  await post(app, 'signup', { email, password, name: '<script>alert(1)</script>' })
  const token = await tokenTo(app, email)

  const page = await app.inject('/dev/mailbox')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  t.match(page.body, 'o&#39;neil&amp;x@example.com')
  t.notMatch(page.body, /<script|<form|onclick/)
  const [, link] = /The link: <a href="([^"]+)"/.exec(page.body) ?? []
  t.equal(link, `http://127.0.0.1:8000/verify-email#token=${token}`)
  const [, body] = /email\/verify -H .* -d &#39;(\{.*\})&#39;/.exec(page.body) ?? []
  const verify = JSON.parse((body ?? '').replaceAll('&quot;', '"'))
  t.equal((await post(app, 'email/verify', verify)).statusCode, 204)

  await post(app, 'password/forgot', { email })
  await app.mailWorker?.settled()
  t.match((await app.inject('/dev/mailbox')).body, /password\/reset -H .*new_password/)

  await t.test('the page and the mail in it run no script and load nothing', async (t) => {
    const policy = String(page.headers['content-security-policy'])
    const [, style = ''] = /<style>(.*)<\/style>/s.exec(page.body) ?? []
    t.ok(policy.includes(`style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`))
    t.match(policy, /^default-src 'none'; /)
    t.match(policy, /frame-ancestors 'none'$/)
    const [, frame = ''] = /<iframe sandbox="allow-popups" src="([^"]+)"/.exec(page.body) ?? []
    const mail = await app.inject(frame)
    t.equal(mail.statusCode, 200)
    t.equal(
      mail.headers['content-security-policy'],
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox allow-popups",
    )
    t.ok(mail.body.includes(token))
  })

  t.match(problemOf(await app.inject('/dev/mailbox/99/html')), { status: 404, code: 'not_found' })
  t.match(problemOf(await app.inject('/dev/mailbox/samples/nothing/html')), {
    status: 404,
    code: 'not_found',
  })
  const samples = await app.inject('/dev/mailbox/samples')
  const frames = samples.body.match(/(?<=<iframe sandbox="allow-popups" src=")[^"]+/g) ?? []
  t.equal(frames.length, Object.keys(english.mails).length)
  for (const frame of frames) t.equal((await app.inject(frame)).statusCode, 200, frame)

  for (let count = 0; count < 55; count++) {
    await app.mailbox?.send({ ...(app.mailbox.mails[0] as NonNullable<(typeof app.mailbox.mails)[number]>) })
  }
  t.equal(app.mailbox?.mails.length, 50, 'the latest 50')
  t.notMatch((await app.inject('/openapi.yaml')).body, /\/dev\//, 'not in the contract')
})

t.test('/dev/account runs its own script and style only, and keeps the prefix of a gateway', async (t) => {
  const app = await testApp(t, { env: { ...development, PUBLIC_URL: 'http://127.0.0.1:8000/identity' } })
  const page = await app.inject('/dev/account')
  t.equal(page.statusCode, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  const hashOf = (text = '') => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
  const [, style] = /<style>(.*)<\/style>/s.exec(page.body) ?? []
  const [, script] = /<script type="module">(.*)<\/script>/s.exec(page.body) ?? []
  t.ok(style && script && !script.includes('</script'))
  t.equal(
    page.headers['content-security-policy'],
    `default-src 'none'; script-src ${hashOf(script)}; style-src ${hashOf(style)}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  )
  t.match(page.body, '<body data-base="/identity">')
  t.notMatch(script, /localStorage|sessionStorage|document\.cookie|innerHTML/, 'tokens are in memory only')
  t.match((await app.inject('/dev/mailbox')).body, 'href="/identity/dev/account"')
})

t.test("links include the gateway's prefix", async (t) => {
  const app = await testApp(t, { env: { ...development, PUBLIC_URL: 'http://127.0.0.1:8000/identity' } })
  t.match((await app.inject('/dev/mailbox')).body, 'href="/identity/dev/mailbox/samples"')
})

t.test('only this machine can read the pages, and not through a proxy', async (t) => {
  const app = await testApp(t, { env: { ...development, HOST: '0.0.0.0', TRUST_PROXY: '10.0.0.0/8' } })
  const pages = [
    '/dev/account',
    '/dev/mailbox',
    '/dev/mailbox/1/html',
    '/dev/mailbox/samples',
    '/dev/mailbox/samples/verify_email/html',
  ]
  const notFound = { status: 404, code: 'not_found' }
  await post(app, 'signup', { email: 'a@example.com', password, name: 'A' })
  await tokenTo(app, 'a@example.com')
  for (const url of pages) {
    for (const remoteAddress of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      t.equal((await app.inject({ url, remoteAddress })).statusCode, 200, `${url} from ${remoteAddress}`)
    }
    for (const remoteAddress of ['192.0.2.1', '172.17.0.1', '10.0.0.1', '::2', '::ffff:192.0.2.1']) {
      t.match(problemOf(await app.inject({ url, remoteAddress })), notFound, `${url} from ${remoteAddress}`)
    }
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via', 'x-forwarded-host']) {
      const answer = await app.inject({ url, headers: { [name]: '127.0.0.1' } })
      t.match(problemOf(answer), notFound, `${url} with ${name}`)
    }
  }
  const pretended = {
    url: '/dev/mailbox',
    remoteAddress: '10.0.0.1',
    headers: { 'x-forwarded-for': '127.0.0.1' },
  }
  t.match(problemOf(await app.inject(pretended)), notFound)
})

t.test('the pages exist in development mode only', async (t) => {
  const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://unused' }
  for (const env of [{}, production]) {
    const app = await testApp(t, { env })
    for (const url of ['/dev/mailbox', '/dev/account'])
      t.match(problemOf(await app.inject(url)), { status: 404, code: 'not_found' })
    t.same(
      registeredRoutes(app).filter(({ url }) => url.startsWith('/dev')),
      [],
    )
  }
})
