import t from 'tap'
import { clientKey, networkOf } from '../../../src/limits/address.ts'

t.test('every form of an IPv4 address counts as one client', async (t) => {
  for (const text of ['192.0.2.7', '::ffff:192.0.2.7', '::FFFF:c000:207', '0:0:0:0:0:ffff:192.0.2.7']) {
    t.equal(clientKey(text), '192.0.2.7', text)
  }
  t.not(clientKey('192.0.2.8'), clientKey('192.0.2.7'))
  t.not(clientKey('::ffff:192.0.2.8'), clientKey('::ffff:192.0.2.7'), 'mapped ones are not one /64')
})

t.test('every address of an IPv6 /64 counts as one client', async (t) => {
  const one = '2001:db8:1:2::/64'
  for (const text of [
    '2001:db8:1:2::',
    '2001:db8:1:2::1',
    '2001:DB8:1:2:FFFF:ffff:FFFF:ffff',
    '2001:0db8:0001:0002:0000:0000:0000:0009',
    '2001:db8:1:2:0:0:192.0.2.7',
    '2001:db8:1:2::1%eth0',
  ]) {
    t.equal(clientKey(text), one, text)
  }
  const keys = new Set(
    Array.from({ length: 1000 }, (_, at) => clientKey(`2001:db8:1:2:${at.toString(16)}::${at}`)),
  )
  t.same([...keys], [one])
  t.not(clientKey('2001:db8:1:3::1'), one, 'the next /64 is another')
  t.equal(clientKey('fe80::1%eth0'), clientKey('fe80::2'))
})

t.test('all invalid addresses count as one client (H03)', async (t) => {
  const texts = [
    '',
    'unknown',
    'a.b.c.d',
    '192.0.2.7:80',
    '192.0.2.256',
    '3232235521',
    '0x7f.1',
    'x'.repeat(10_000),
  ]
  for (const text of texts) t.equal(clientKey(text), 'unknown', text.slice(0, 20))
})

t.test('the network of an address is its IPv4 /16 or its IPv6 /32', async (t) => {
  t.equal(networkOf(clientKey('192.0.2.7')), networkOf(clientKey('192.0.255.1')))
  t.not(networkOf(clientKey('192.0.2.7')), networkOf(clientKey('192.1.2.7')))
  t.equal(networkOf(clientKey('2001:db8:1:2::1')), networkOf(clientKey('2001:db8:ffff:2::1')))
  t.not(networkOf(clientKey('2001:db8::1')), networkOf(clientKey('2001:db9::1')))
  t.equal(networkOf('aGVsbG8gd29ybGQ'), 'aGVsbG8gd29ybGQ')
})
