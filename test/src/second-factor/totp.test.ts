import t from 'tap'
import { base32, matchingStep, otpauthUri, stepAt, totpCode } from '../../../src/second-factor/totp.ts'

const secret = Buffer.from('12345678901234567890')

t.test('codes are those of RFC 6238, appendix B, and RFC 4226, appendix D', async (t) => {
  const vectors: [number, string][] = [
    [59, '94287082'],
    [1_111_111_109, '07081804'],
    [1_111_111_111, '14050471'],
    [1_234_567_890, '89005924'],
    [2_000_000_000, '69279037'],
    [20_000_000_000, '65353130'],
  ]
  for (const [time, code] of vectors) t.equal(totpCode(secret, stepAt(time), 8), code, String(time))
  const hotp = '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489'.split(' ')
  t.same(
    hotp.map((_, counter) => totpCode(secret, counter)),
    hotp,
  )
})

t.test('base 32 is that of RFC 4648, section 10, without padding', async (t) => {
  const vectors = {
    '': '',
    f: 'MY',
    fo: 'MZXQ',
    foo: 'MZXW6',
    foob: 'MZXW6YQ',
    fooba: 'MZXW6YTB',
    foobar: 'MZXW6YTBOI',
  }
  for (const [text, encoded] of Object.entries(vectors)) t.equal(base32(Buffer.from(text)), encoded)
})

t.test('the present code is good, the one before and the one after, once each', async (t) => {
  const now = 1_800_000_015
  const present = stepAt(now)
  const stepOf = (steps: number, lastStep = 0) =>
    matchingStep(secret, totpCode(secret, present + steps), { now, lastStep })
  t.same(
    [-2, -1, 0, 1, 2].map((steps) => stepOf(steps)),
    [undefined, present - 1, present, present + 1, undefined],
  )
  t.equal(stepOf(0, present), undefined, 'a code that was used')
  t.equal(stepOf(-1, present), undefined, 'a code from before it')
  t.equal(stepOf(1, present), present + 1)
  const lastSecond = (present + 1) * 30 - 1
  t.equal(matchingStep(secret, totpCode(secret, present), { now: lastSecond + 30, lastStep: 0 }), present)
  t.equal(matchingStep(secret, totpCode(secret, present), { now: lastSecond + 31, lastStep: 0 }), undefined)
})

t.test('the URI names issuer and account, whatever is in them', async (t) => {
  const uri = new URL(otpauthUri(secret, { issuer: 'Shop: A&B', account: "o'neil+x@example.com" }))
  t.equal(decodeURIComponent(uri.pathname), "/Shop  A&B:o'neil+x@example.com")
  t.same(Object.fromEntries(uri.searchParams), {
    secret: base32(secret),
    issuer: 'Shop  A&B',
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  })
})
