import { once } from 'node:events'
import type { SMTPServerOptions } from 'smtp-server'
import t from 'tap'
import type { OutgoingMail } from '../../../../src/mail/compose.ts'
import { smtpTransport } from '../../../../src/mail/smtp.ts'
import { password, testApp } from '../../../helper.ts'
import { post } from '../../../support/mailbox.ts'
import { closedPort, headerOf, mailServer, type ReceivedMail, refusal } from '../../../support/smtp.ts'

const mail: OutgoingMail = {
  from: { name: 'Example', address: 'no-reply@example.com' },
  to: 'alice@example.org',
  subject: 'A subject',
  text: 'Words.\n',
  html: '<p>Words.</p>\n',
  messageId: '<an-id@example.com>',
  name: 'password_changed',
  secret: undefined,
  link: undefined,
}

const serverAt = (port: number, changes: object = {}) => ({
  host: '127.0.0.1',
  port,
  secure: false,
  auth: undefined,
  ...changes,
})

t.test('a mail has one recipient and only the service’s headers (E05)', async (t) => {
  const server = await mailServer(t)
  const app = await testApp(t, {
    env: {
      SMTP_URL: `smtp://127.0.0.1:${server.port}`,
      MAIL_FROM: 'Example Inc. <no-reply@example.com>',
      APP_URL: 'https://app.example.com',
    },
  })
  const name = 'Alice\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script>\u2028{ip}'
  const signup = { email: 'Alice@Example.org', password, name }
  t.equal((await post(app, 'signup', signup)).statusCode, 201)
  await app.mailWorker?.settled()
  await app.db.updateTable('users').set({ email_verified: true }).execute()
  await post(app, 'password/forgot', { email: signup.email })
  await app.mailWorker?.settled()

  t.equal(server.mails.length, 2)
  for (const { from, recipients, headers } of server.mails) {
    t.equal(from, 'no-reply@example.com')
    t.same(recipients, ['alice@example.org'])
    t.same(headers.map(([name]) => name.toLowerCase()).sort(), [
      'auto-submitted',
      'content-type',
      'date',
      'from',
      'message-id',
      'mime-version',
      'subject',
      'to',
    ])
    t.equal(headerOf(headers, 'to'), 'alice@example.org')
    t.equal(headerOf(headers, 'from'), '"Example Inc." <no-reply@example.com>')
    t.equal(headerOf(headers, 'auto-submitted'), 'auto-generated')
    t.match(headerOf(headers, 'message-id'), /^<[0-9a-f-]{36}@example\.com>$/)
    t.match(headerOf(headers, 'content-type'), /^multipart\/alternative/)
  }
  const [verification, reset] = server.mails as [ReceivedMail, ReceivedMail]
  const link =
    /https:\/\/app\.example\.com\/verify-email#token=[\w-]{43}/.exec(verification.text)?.[0] ?? 'none'
  t.ok(verification.html.includes(`href="${link}"`))
  t.match(headerOf(verification.headers, 'subject'), 'Confirm your address for Example Inc.')
  for (const { text, html } of [verification, reset]) t.notMatch(text + html, /Alice|evil/)
  t.notMatch(reset.html, /<script/)
})

t.test('EHLO has the configured name', async (t) => {
  const names: string[] = []
  const server = await mailServer(t, {
    onMailFrom(_address, { hostNameAppearsAs }, done) {
      names.push(String(hostNameAppearsAs))
      // As Postfix does with reject_non_fqdn_helo_hostname.
      done(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(String(hostNameAppearsAs)) ? null : refusal(550))
    },
  })
  const env = { SMTP_URL: `smtp://127.0.0.1:${server.port}`, MAIL_FROM: 'no-reply@example.com' }
  for (const [name, changes] of [
    [
      'auth.example.com',
      { PUBLIC_URL: 'https://auth.example.com/latchkey', APP_URL: 'https://app.example.com' },
    ],
    ['mx.example.org', { PUBLIC_URL: 'https://auth.example.com', SMTP_HELO: 'mx.example.org' }],
  ] as const) {
    const app = await testApp(t, { env: { ...env, ...changes } })
    await post(app, 'signup', { email: 'alice@example.org', password, name: 'Alice' })
    await app.mailWorker?.settled()
    t.equal(names.at(-1), name)
    const { headers = [] } = server.mails.at(-1) ?? {}
    t.match(headerOf(headers, 'message-id'), /@example\.com>$/, 'the domain of the sender')
  }
  t.equal(server.mails.length, 2)
})

t.test('an address with a line break is refused before SMTP', async (t) => {
  const server = await mailServer(t)
  const transport = smtpTransport(serverAt(server.port))
  t.teardown(() => transport.close())
  const addresses = [
    'a@example.org\r\nRCPT TO:<b@example.org>',
    'a@example.org>\nBcc: b@example.org',
    '<a@b>,<c@d>',
  ]
  for (const to of [...addresses, 'a@example.org, b@example.org', 'a@example.org\0']) {
    await t.rejects(transport.send({ ...mail, to }), {
      name: 'DeliveryError',
      message: 'address',
      final: true,
    })
  }
  await transport.send({ ...mail, subject: 'x\r\nBcc: b@example.org' })
  t.equal(server.mails.length, 1)
  t.same(server.mails[0]?.recipients, [mail.to])
  t.equal(headerOf(server.mails[0]?.headers ?? [], 'bcc'), '')
})

t.test('a mail cannot attach a file or a URL', async (t) => {
  const server = await mailServer(t)
  const transport = smtpTransport(serverAt(server.port))
  t.teardown(() => transport.close())
  const text = { path: import.meta.filename } as unknown as string
  await t.rejects(transport.send({ ...mail, text }), { name: 'DeliveryError' })
  t.same(server.mails, [])
})

t.test('a failure is logged by its class, never by the server’s text', async (t) => {
  const refusing = await mailServer(t, { accept: async () => refusal(554) })
  const unknown = await mailServer(t, { onRcptTo: (_address, _session, done) => done(refusal(550)) })
  const busy = await mailServer(t, { onRcptTo: (_address, _session, done) => done(refusal(450)) })
  const cases = [
    { port: await closedPort(t), message: /^ESOCKET ECONNREFUSED CONN$/, final: false },
    { port: refusing.port, message: /^EMESSAGE 554 DATA$/, final: false },
    { port: busy.port, message: /^EENVELOPE 450 RCPT TO$/, final: false },
    { port: unknown.port, message: /^EENVELOPE 550 RCPT TO$/, final: true },
  ]
  for (const { port, ...expected } of cases) {
    const transport = smtpTransport(serverAt(port))
    await t.rejects(transport.send(mail), { name: 'DeliveryError', ...expected })
    transport.close()
  }
})

t.test('certificates are verified, and a password requires TLS', async (t) => {
  const auths: string[] = []
  const onAuth: SMTPServerOptions['onAuth'] = ({ username, password }, _session, done) => {
    auths.push(`${username}:${password}`)
    done(null, { user: username })
  }
  const options = { disabledCommands: [], authOptional: false, onAuth }
  const tls = await mailServer(t, { ...options, secure: true })
  const starttls = await mailServer(t, { ...options, allowInsecureAuth: true })
  const plain = await mailServer(t, { ...options, disabledCommands: ['STARTTLS'], allowInsecureAuth: true })
  const auth = { user: 'latchkey', pass: 'p@ss' }
  const send = async (port: number, changes: object) => {
    const transport = smtpTransport(serverAt(port, { auth, ...changes }))
    try {
      await transport.send(mail)
      return 'sent'
    } catch (error) {
      return (error as Error).message
    } finally {
      transport.close()
    }
  }
  // The servers’ certificate is self-signed.
  t.match(await send(tls.port, { secure: true }), /^ESOCKET .*CERT/)
  t.match(await send(starttls.port, {}), /^ESOCKET .*CERT/)
  t.match(
    await send(plain.port, { host: '0.0.0.0' }),
    /^ETLS/,
    'a server that offers no TLS gets no password',
  )
  t.same(auths, [])
  t.equal(await send(plain.port, {}), 'sent', 'the loopback address needs none')
  t.same(auths, ['latchkey:p@ss'])
})

t.test('connections are reused', async (t) => {
  const server = await mailServer(t)
  const transport = smtpTransport(serverAt(server.port))
  t.teardown(() => transport.close())
  let connections = 0
  server.events.on('connect', () => connections++)
  for (const _ of [1, 2, 3]) {
    const arrived = once(server.events, 'mail')
    await transport.send(mail)
    await arrived
  }
  t.equal(connections, 1)
})
