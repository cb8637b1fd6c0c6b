import t from 'tap'
import { recordingApp } from '../support/mailbox.ts'

t.test('readiness checks share one query at a time', async (t) => {
  const { app, statements } = await recordingApp(t)
  const before = statements.length
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.inject('/health/ready')))
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  t.equal(statements.length - before, 1)
  await app.inject('/health/ready')
  t.equal(statements.length - before, 2, 'the next check queries again')
})
