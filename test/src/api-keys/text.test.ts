import t from 'tap'
import {
  checksumOf,
  claimsToBeKey,
  isWellFormedKey,
  keyHash,
  newKeyText,
} from '../../../src/api-keys/text.ts'

/** By another implementation of CRC-32 and base62. */
const vectors = {
  '123456789': '3jZRME',
  '000000000000000000000000000000': '2C8GjS',
  zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz: '4IlJEz',
  '0123456789ABCDEFGHIJKLMNOPQRST': '4PMbyp',
  WXYZabcdefghijklmnopqrstuvwxyz: '4YnbUa',
  K2vQ9xTn4LpR7sWyB1cD5fGh8jMe3a: '08h1Od',
  r40g4WYRmGNqB3DXkSaGmvMjTzHcIE: '00007J',
}

const secret = 'K2vQ9xTn4LpR7sWyB1cD5fGh8jMe3a'
const key = `lk_pat_${secret}08h1Od`

t.test('the checksum is CRC-32 in base62, padded to six characters', async (t) => {
  for (const [text, checksum] of Object.entries(vectors)) t.equal(checksumOf(text), checksum, text)
  t.equal(keyHash(key), 'TQEZmKytivC9KBY2ernUNvhnxnE68MowyFyVhVcy8mQ')
})

t.test('a typo is found, whichever character it is in', async (t) => {
  t.ok(isWellFormedKey(key))
  for (let at = 0; at < key.length; at++) {
    const typo = `${key.slice(0, at)}${key[at] === 'x' ? 'y' : 'x'}${key.slice(at + 1)}`
    t.notOk(isWellFormedKey(typo), typo)
  }
  for (const text of ['', 'lk_pat_', key.slice(0, -1), `${key}0`, ` ${key}`, `${key}\n`, key.toUpperCase()])
    t.notOk(isWellFormedKey(text), text)
})

t.test('new keys differ, are well-formed, and are not what a JWT looks like', async (t) => {
  const texts = Array.from({ length: 200 }, newKeyText)
  t.equal(new Set(texts).size, texts.length)
  for (const text of texts) t.ok(/^lk_pat_[0-9A-Za-z]{36}$/.test(text) && isWellFormedKey(text), text)
  t.equal(new Set(texts.join('').replaceAll('lk_pat_', '')).size, 62, 'every character occurs')
  t.ok(claimsToBeKey('lk_pat_x'))
  t.notOk(claimsToBeKey('eyJhbGciOiJIUzI1NiJ9.e30.x'))
})
