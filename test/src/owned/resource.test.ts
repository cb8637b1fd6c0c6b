import { type TSchema, Type } from '@sinclair/typebox'
import t from 'tap'
import { newItemAgain, newValues, parametersOf } from '../../../src/owned/item.ts'
import { ownedResource } from '../../../src/owned/resource.ts'
import { problemCodes, statusOf } from '../../../src/problem.ts'
import type { OwnerId } from '../../../src/tokens/owner.ts'

// The catalogue is that of the process.
const known = [...problemCodes]
t.teardown(() => problemCodes.splice(0, Number.POSITIVE_INFINITY, ...known))

const title = Type.String({ maxLength: 200 })
const declare = (one: string, fields: Record<string, TSchema> = { title }, more = {}) =>
  ownedResource({ name: `${one}s`, one, fields, limit: 10, ...more })

t.test('a faulty declaration stops the start', async (t) => {
  declare('specimen_of_test')
  t.throws(() => declare('specimen_of_test'), {
    message: 'the problem code specimen_of_test_not_found is taken',
  })
  t.throws(() => declare('key'), { message: 'the problem code key_not_found is taken' })
  t.throws(() => declare('faulty', { a: Type.Null() }), { message: /^a: a field is a string, / })
  t.throws(() => declare('faulty', { title }, { filters: ['title'] }), {
    message: /title is neither a boolean/,
  })
  for (const limit of [0, 1_000_001, Number.NaN])
    t.throws(() => declare('faulty', { title }, { limit }), { message: /^faultys: the limit is a number/ })
})

t.test('the words, types, scopes and problems of a name', async (t) => {
  const resource = declare('odd_specimen')
  t.match(resource, {
    words: { many: 'odd specimens', one: 'odd specimen', aOne: 'an odd specimen' },
    types: { many: 'OddSpecimens', one: 'OddSpecimen' },
    parameter: 'odd_specimen_id',
    scopes: { read: 'odd_specimens:read', write: 'odd_specimens:write' },
    tables: ['odd_specimens', 'odd_specimen_counts'],
  })
  const at = problemCodes.indexOf(resource.problems.notFound)
  t.equal(statusOf(resource.problems.notFound), 404)
  t.same(problemCodes.map(statusOf).slice(at - 1, at + 2), [404, 404, 405], 'in order of status')
  t.match(declare('scoped_specimen', { title }, { scopes: { read: 'r', write: 'w' } }).scopes, {
    read: 'r',
    write: 'w',
  })
})

t.test('a repetition has the values that are stored', async (t) => {
  const { fields } = declare('dated_specimen', {
    title,
    day: Type.String({ format: 'date' }),
    at: Type.Optional(Type.String({ format: 'date-time' })),
    more: Type.Optional(Type.Object({}, { additionalProperties: true })),
    open: Type.Boolean({ default: true }),
  })
  const values = newValues(fields, {
    title: 'x',
    day: '2026-01-31',
    at: '2026-01-31T12:00:00.5Z',
    more: { a: [1] },
  })
  t.same(values, {
    title: 'x',
    day: '2026-01-31',
    at: '2026-01-31T12:00:00.500Z',
    more: { a: [1] },
    open: true,
  })
  t.match(parametersOf(fields, values), { at: '2026-01-31T12:00:00.500Z', more: '{"a":[1]}', open: true })
  const made = { id: 7, created_at: '2026-02-01T00:00:00.000Z' }
  t.same(newItemAgain('https://id.example.com alice' as OwnerId, values, made), {
    item: { ...values, ...made, user_id: 'alice', updated_at: made.created_at },
    version: 1,
  })
  t.same(newValues(fields, { title: 'x', day: '2026-01-31' }), {
    title: 'x',
    day: '2026-01-31',
    at: null,
    more: null,
    open: true,
  })
})
