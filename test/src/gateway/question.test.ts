import t from 'tap'
import { isQuestion, questionOf } from '../../../src/gateway/question.ts'
import { Problem } from '../../../src/problem.ts'

const reasonOf = (read: () => unknown) => {
  try {
    return read()
  } catch (error) {
    return error instanceof Problem && error.code === 'not_owner' ? error.reason : error
  }
}

t.test('a question is the path itself, with a query or with a path behind it', async (t) => {
  for (const target of ['', '?', '?access=user', '/', '/-', '/-/x?y', '#'])
    t.ok(isQuestion(`/gateway/verify${target}`), target)
  for (const target of [
    '/gateway',
    '/gateway/verifyx',
    '/gateway/verify;x',
    '/gateway/verify%2F',
    '/x/gateway/verify',
  ])
    t.notOk(isQuestion(target), target)
})

t.test('parameters come from the query, or from the first segment behind the path', async (t) => {
  const read = (rest: string) => questionOf(`/gateway/verify${rest}`)
  t.same(read(''), { parameters: { access: 'user' }, appended: undefined })
  t.same(read('?access=optional&user_id=a+b%2Bc&scope=notes:read&max_age=60&acr=aal2'), {
    parameters: { access: 'optional', userId: 'a+b+c', scope: 'notes:read', maxAge: 60, acr: 'aal2' },
    appended: undefined,
  })
  const owner = { segments: ['api', undefined] }
  const inPath = { parameters: { access: 'user', owner }, appended: '/api/a/b?access=optional' }
  t.same(read('/owner=%2Fapi%2F:user_id/api/a/b?access=optional'), inPath)
  t.same(read('/owner%3D%252Fapi%252F%3Auser_id/api/a/b?access=optional'), inPath, 'encoded once more')
  t.same(read('/-//x'), { parameters: { access: 'user' }, appended: '//x' })
  t.same(read('/-?access=optional'), { parameters: { access: 'user' }, appended: undefined })
})

t.test('what cannot be read is refused', async (t) => {
  const refusals: Record<string, string> = {
    '#': 'invalid_parameters',
    '?#': 'invalid_parameters',
    '?user_id=a#&scope=x': 'invalid_parameters',
    '/': 'invalid_parameters',
    '//x': 'invalid_parameters',
    '/%': 'invalid_parameters',
    '/api/x': 'unknown_parameter',
    '??access=optional': 'unknown_parameter',
    '?__proto__=x': 'unknown_parameter',
    '?access=optional&%61ccess=user': 'repeated_parameter',
    '?scope=a&scope=b': 'repeated_parameter',
    '?max_age=99999999999': 'invalid_max_age',
    '?owner=%2Fapi%2F..%2F:user_id': 'invalid_owner',
  }
  for (const [rest, reason] of Object.entries(refusals))
    t.equal(
      reasonOf(() => questionOf(`/gateway/verify${rest}`)),
      reason,
      rest,
    )
  for (const target of ['', '/%67ateway/verify', 'http://x/gateway/verify', '/gateway/verifyx'])
    t.equal(
      reasonOf(() => questionOf(target)),
      'request_target',
      target,
    )
})
