import t from 'tap'
import { forwardedAddress, normalizeForwardedFor } from '../../../src/http/forwarded.ts'

t.test('an address is found with a port, in brackets and in quotes', async (t) => {
  const forms: Record<string, string[]> = {
    '192.0.2.7': [
      '192.0.2.7',
      ' 192.0.2.7 ',
      '192.0.2.7:5678',
      '192.0.2.7:0',
      '192.0.2.7:_port',
      '"192.0.2.7"',
      '"192.0.2.7:65535"',
    ],
    '2001:db8::1': [
      '2001:db8::1',
      '[2001:db8::1]',
      '[2001:db8::1]:443',
      '"[2001:db8::1]"',
      '"[2001:db8::1]:443"',
    ],
    '2001:db8:1:2:3:4:5:6': ['2001:db8:1:2:3:4:5:6:443'],
    '::ffff:192.0.2.7': ['::ffff:192.0.2.7', '[::ffff:192.0.2.7]:80', '::ffff:192.0.2.7:80'],
    'fe80::1%eth0': ['[fe80::1%eth0]:80'],
  }
  for (const [address, texts] of Object.entries(forms)) {
    for (const text of texts) t.equal(forwardedAddress(text), address, text)
  }
})

t.test('an entry without an address is unchanged', async (t) => {
  for (const text of [
    'unknown',
    '_hidden',
    '192.0.2.7:',
    '192.0.2.7:port',
    '192.0.2.7:123456',
    '192.0.2.7:80:80',
    '192.0.2.256:80',
    '[192.0.2.7]:80',
    '[2001:db8::1',
    '2001:db8::1]:80',
    '[2001:db8::1]x',
    '"192.0.2.7',
    'a.example:80',
    '',
  ]) {
    t.equal(forwardedAddress(text), text, text)
  }
})

t.test('each entry of a header is parsed on its own', async (t) => {
  t.equal(
    normalizeForwardedFor('unknown,"[2001:db8::1]:80",192.0.2.7:80 ,10.0.0.1'),
    'unknown, 2001:db8::1, 192.0.2.7, 10.0.0.1',
  )
})
