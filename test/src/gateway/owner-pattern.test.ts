import fc from 'fast-check'
import t from 'tap'
import { originalPath } from '../../../src/gateway/original-path.ts'
import { ownerIn, parseOwnerPattern } from '../../../src/gateway/owner-pattern.ts'
import { Problem } from '../../../src/problem.ts'

/** The owner, or the reason of the refusal. */
function ownerOrReason(pattern: string, path: string): string | undefined {
  const parsed = parseOwnerPattern(pattern)
  if (!parsed) return 'invalid'
  try {
    return ownerIn(parsed, originalPath(['X-Original-URI', path], undefined))
  } catch (error) {
    if (error instanceof Problem) return error.reason
    throw error
  }
}

t.test('the owner is the segment in its place', async (t) => {
  t.equal(ownerOrReason('/api/:user_id', '/api/alice'), 'alice')
  t.equal(ownerOrReason('/api/:user_id', '/api/alice/notes/1?x=/../'), 'alice')
  t.equal(ownerOrReason('/:user_id', '/alice'), 'alice')
  t.equal(ownerOrReason('/a/:user_id/b', '/a/%61lice/b/c'), 'alice')
  t.equal(ownerOrReason('/a/:user_id/b', '/a/alice/c'), 'original_path_unmatched')
  t.equal(ownerOrReason('/api/:user_id', '/api'), 'original_path_unmatched')
  t.equal(
    ownerOrReason('/api/:user_id', '/api/alice/'),
    'original_path_invalid',
    'an empty segment at the end',
  )
  t.equal(ownerOrReason('/api/:user_id', 'https://h:1/api/alice'), 'alice')
  t.equal(ownerOrReason('/api/:user_id', 'https://h?/api/alice'), 'original_path_invalid')
  t.equal(ownerOrReason('/api/:user_id', 'https://h\\@x/api/alice'), 'original_path_invalid')
})

t.test('no path passes that an ordinary reading resolves to another owner', async (t) => {
  const piece = fc.constantFrom(
    '/',
    'api',
    'alice',
    'bob',
    '.',
    '..',
    '%2e',
    '%2F',
    '%5c',
    '\\',
    ';',
    '%',
    '%25',
    '%00',
    '#',
    '',
  )
  await fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const path = `/api/${pieces.join('')}`
      const owner = ownerOrReason('/api/:user_id', path)
      if (owner !== 'alice') return
      // The WHATWG reading resolves dot segments, encoded ones and backslashes too.
      const [, first, second] = new URL(path.split('#')[0] ?? '', 'http://x').pathname.split('/')
      if (first !== 'api' || decodeURIComponent(second ?? '') !== 'alice') throw new Error(path)
    }),
    { numRuns: 2_000 },
  )
  t.pass('for 2,000 paths')
})

t.test('two original paths must be the same', async (t) => {
  const read = (rawHeaders: string[], appended?: string) => {
    try {
      return originalPath(rawHeaders, appended)
    } catch (error) {
      return error instanceof Problem ? error.reason : error
    }
  }
  t.equal(read(['X-Original-URI', '/a?x', 'x-forwarded-uri', '/a?y'], '/a'), '/a')
  t.equal(read(['x-original-uri', '/a', 'x-original-uri', '/b']), 'original_path_differs')
  t.equal(read(['x-original-uri', '/a', 'X-ORIGINAL-URL', 'http://h/b']), 'original_path_differs')
  t.equal(read(['x-original-uri', '/a'], '/b'), 'original_path_differs')
  t.equal(read([]), 'original_path_missing')
})
