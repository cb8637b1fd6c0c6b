import t from 'tap'
import { budgets } from '../../../src/limits/budgets.ts'
import { testApp } from '../../helper.ts'

const env = { RATE_LIMITS: 'on', TRUST_PROXY: '10.0.0.0/8,fd00::/8' }

t.test('a port in X-Forwarded-For does not change the client address (H03)', async (t) => {
  const app = await testApp(t, { env })
  let sent = 0
  const used = async (forwarded: string, peer = '10.0.0.1') => {
    sent++
    const answer = await app.inject({
      url: '/nowhere',
      remoteAddress: peer,
      headers: { 'x-forwarded-for': forwarded },
    })
    return budgets.everything.max - Number(answer.headers['ratelimit-remaining'])
  }
  const forms = {
    '192.0.2.7': ['192.0.2.7:5678', '192.0.2.7:5679', '"192.0.2.7:1"', '198.51.100.1:80, 192.0.2.7'],
    '2001:db8:1:2::1': ['[2001:db8:1:2::1]:5678', '"[2001:db8:1:2::1]"', '[2001:db8:1:2::2]'],
    '192.0.2.8': [
      '192.0.2.8:1, 10.9.9.9:443',
      '192.0.2.8:2, [fd00::7]:443',
      '192.0.2.8, "10.9.9.9:1", 10.8.8.8',
    ],
  }
  for (const [client, texts] of Object.entries(forms)) {
    t.equal(await used(client), 1, client)
    for (const [at, text] of texts.entries()) t.equal(await used(text), at + 2, text)
  }
  t.equal(await used('192.0.2.7:9', 'fd00::1'), 6, 'by another gateway')
  t.equal(await used('gar:bage'), 1, 'an invalid address counts as the gateway')
  t.equal(await used('198.51.100.2, gar:bage:80'), 2, 'entries further left are ignored')
  t.ok(sent > 10)
})

t.test('the session list shows the address without its port', async (t) => {
  const app = await testApp(t, { env: { TRUST_PROXY: '10.0.0.0/8' } })
  const request = { remoteAddress: '10.0.0.1', headers: { 'x-forwarded-for': '192.0.2.7:5678' } }
  const payload = { email: 'alice@example.com', password: 'correct horse battery', name: 'Alice' }
  const { token } = (
    await app.inject({ method: 'POST', url: '/api/auth/signup', payload, ...request })
  ).json()
  const headers = { authorization: `Bearer ${token}` }
  t.match((await app.inject({ url: '/api/auth/sessions', headers })).json(), [{ ip: '192.0.2.7' }])
})

/** Log lines about X-Forwarded-For for some requests. */
async function warnings(t: Parameters<typeof testApp>[0], trusted: string, requests: object[]) {
  const lines: string[] = []
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'warn', ...(trusted ? { TRUST_PROXY: trusted } : {}) },
    log: (line) => lines.push(line),
  })
  for (const request of requests) await app.inject({ url: '/nowhere', ...request })
  return lines.map((line) => JSON.parse(line)).filter(({ msg }) => /X-Forwarded-For/.test(msg))
}

const from = (remoteAddress: string, forwarded: string) => ({
  remoteAddress,
  headers: { 'x-forwarded-for': forwarded },
})

t.test('an untrusted peer that sends X-Forwarded-For is logged once', async (t) => {
  const gateway = from('10.0.0.5', '192.0.2.7')
  const msg = /^10\.0\.0\.5 sends X-Forwarded-For and TRUST_PROXY does not name it/
  for (const trusted of ['', '172.16.0.0/12']) {
    const lines = await warnings(t, trusted, [{ remoteAddress: '10.0.0.4' }, gateway, gateway, gateway])
    t.match(lines, [{ level: 40, msg }], `TRUST_PROXY=${trusted}`)
    t.equal(lines.length, 1)
  }
})

t.test('nothing is logged for a trusted peer, or without a forwarded address', async (t) => {
  t.same(
    await warnings(t, '10.0.0.0/8', [
      from('10.0.0.5', '192.0.2.7'),
      from('10.0.0.5', '10.0.0.5'),
      from('10.0.0.5', '10.0.0.6, 10.0.0.5:80'),
      from('::ffff:10.0.0.5', '192.0.2.7'),
      { remoteAddress: '192.0.2.1' },
    ]),
    [],
  )
  t.same(await warnings(t, '', [from('10.0.0.5', ''), { remoteAddress: '10.0.0.5' }]), [])
})
