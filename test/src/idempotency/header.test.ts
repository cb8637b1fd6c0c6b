import t from 'tap'
import { idempotencyKeyPattern, keyIn } from '../../../src/idempotency/header.ts'

const pattern = new RegExp(idempotencyKeyPattern, 'u')

t.test('a key is a structured-field string, or the same without quotes', async (t) => {
  const keys: [string, string][] = [
    ['"8e03978e-40d5-43e8-bc93-6894a57f9324"', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    ['8e03978e-40d5-43e8-bc93-6894a57f9324', '8e03978e-40d5-43e8-bc93-6894a57f9324'],
    ['"two words"', 'two words'],
    ['"a \\"quoted\\" one, and a \\\\"', 'a "quoted" one, and a \\'],
    ["AZaz09+/=_-.~:!#$%&'()*<>?@[]^`{|}", "AZaz09+/=_-.~:!#$%&'()*<>?@[]^`{|}"],
    ['x'.repeat(255), 'x'.repeat(255)],
    [`"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ]
  for (const [header, key] of keys) {
    t.match(header, pattern)
    t.equal(keyIn(header), key)
  }
})

t.test('any other key is refused', async (t) => {
  const malformed = [
    '',
    '""',
    '"',
    'a b',
    'a"b',
    '"a"b',
    '"a',
    'a\\b',
    '"\\a"',
    'a,b',
    '"a", "b"',
    '"a";b=1',
    'ü',
    '"ü"',
  ]
  for (const header of [...malformed, 'x'.repeat(256), `"${'x'.repeat(256)}"`, 'a\tb', '"a\0"', 'a\x7f']) {
    t.notMatch(header, pattern)
  }
})
