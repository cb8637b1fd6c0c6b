import t from 'tap'
import { Turns } from '../../../src/db/turns.ts'

t.test('one key takes turns in order, another does not wait', async (t) => {
  const turns = new Turns(60_000)
  const order: string[] = []
  await turns.take('alice')
  const second = turns.take('alice').then(() => order.push('second'))
  const third = turns.take('alice').then(() => order.push('third'))
  await turns.take('bob')
  t.same(order, [])
  turns.give('alice')
  await second
  t.same(order, ['second'])
  turns.give('alice')
  await third
  turns.give('alice')
  await turns.take('alice')
})

t.test('a waiter times out, and the others keep their order', async (t) => {
  const turns = new Turns(20)
  await turns.take('alice')
  await t.rejects(turns.take('alice'), { message: /^timeout expired/ })
  const next = turns.take('alice')
  turns.give('alice')
  await next
})
