import { RE2JS } from 're2js'
import t from 'tap'
import { twoUsers } from '../helper.ts'
import { contract } from '../support/contract-file.ts'

/** Every `pattern` in the contract, with the examples beside it. */
function patternsIn(part: unknown): [pattern: string, examples: unknown[]][] {
  if (typeof part !== 'object' || part === null) return []
  const { pattern, examples = [] } = part as { pattern?: unknown; examples?: unknown[] }
  const own: [string, unknown[]][] = typeof pattern === 'string' ? [[pattern, examples]] : []
  return [...own, ...Object.values(part).flatMap(patternsIn)]
}

const others = [
  '',
  'a',
  'Test User',
  'a\0b',
  '\0',
  'line\nbreak',
  '漢字 😀 \uff21',
  'test@example.com',
  '/api/:user_id/tasks',
  'test@example',
  '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
  '8e03978e-40d5-43e8-bc93-6894a57f9324',
  '"\\"\\\\"',
  'a,b',
  '20',
  '020',
  'x'.repeat(256),
]

t.test(
  'every pattern means the same in JavaScript and RE2, and has no escape that PCRE2 lacks',
  async (t) => {
    const found = patternsIn(contract())
    const patterns = new Set(found.map(([pattern]) => pattern))
    const examples = found.flatMap(([, examples]) => examples).filter((text) => typeof text === 'string')
    const samples = [...new Set([...others, ...examples])]
    t.ok(patterns.size >= 4)
    for (const pattern of patterns) {
      t.notMatch(pattern, /\\[uUpPk]|\\x(?!00)|\(\?[^:]/, pattern)
      const re2 = RE2JS.compile(pattern)
      const matched = samples.filter((sample) => re2.matcher(sample).find())
      t.same(
        matched,
        samples.filter((sample) => new RegExp(pattern, 'u').test(sample)),
      )
      t.not(matched.length, 0, 'a matching sample')
    }
  },
)

t.test('a byte order mark at the start of a text is refused, though no pattern expresses it', async (t) => {
  const { alice, bob } = await twoUsers(t)
  for (const { user, call } of [
    { user: alice, call: ['POST', alice.tasks, { title: '\ufeffa' }] },
    { user: bob, call: ['POST', bob.tasks, { title: 'a', description: '\ufeff' }] },
    { user: bob, call: ['PATCH', '/api/auth/me', { name: '\ufeffbob' }] },
  ] as const) {
    const [method, url, body] = call
    const answer = await user.call(method, url, body)
    t.match(answer.json(), {
      code: 'validation_failed',
      errors: [{ message: 'has characters or a form that is not accepted' }],
    })
    t.equal(answer.json().errors.length, 1)
  }
  const within = await alice.call('POST', alice.tasks, { title: 'a\ufeff' })
  t.match(within.json(), { title: 'a\ufeff' })
})
