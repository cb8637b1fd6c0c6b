import t from 'tap'
import { problemOf, testApp } from '../../helper.ts'

const failed = (code: string, message = 'failed') => Object.assign(new Error(message), { code })

t.test('a misconfigured database is logged with its reason, and answered 503', async (t) => {
  const pooler = 'a pooler gives each transaction another connection: set DATABASE_PREPARE=false'
  const cases: readonly (readonly [Error, string])[] = [
    [failed('42P05', 'prepared statement "latchkey_1" already exists'), pooler],
    [failed('26000', 'prepared statement "latchkey_1" does not exist'), pooler],
    [failed('08P01', 'bind message supplies 2 parameters, but prepared statement "x" requires 1'), pooler],
    [failed('25006', 'cannot execute INSERT in a read-only transaction'), 'the database is read-only'],
    [failed('08P01', 'pgbouncer cannot connect to server'), 'database'],
    [failed('CERT_HAS_EXPIRED', 'certificate has expired'), 'database'],
    [new Error('The server does not support SSL connections'), 'database'],
  ]
  const lines: string[] = []
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'info' },
    log: (line) => lines.push(line),
    extend: (app) => {
      for (const [at, [error]] of cases.entries()) {
        app.get(`/failures/${at}`, { config: { access: 'public' } }, () => Promise.reject(error))
      }
    },
  })
  for (const [at, [error, reason]] of cases.entries()) {
    const answer = await app.inject(`/failures/${at}`)
    t.match(problemOf(answer), { status: 503, code: 'service_unavailable' })
    t.notMatch(answer.body, /pooler|read-only|PREPARE/)
    const line = lines.map((text) => JSON.parse(text)).find(({ route }) => route === `/failures/${at}`)
    t.equal(line?.reason, reason, error.message)
  }
})
