import t from 'tap'
import {
  isDatabaseUnavailable,
  isNotSupported,
  lacksUserRow,
  violatesUnique,
} from '../../../src/db/errors.ts'
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
    [failed('XX000', 'failure on connection marked as essential: worker:5432'), 'database'],
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

t.test('a violated constraint is known by its name, in the error or in its message', async (t) => {
  const unique = 'duplicate key value violates unique constraint'
  const named = (code: string, constraint: string) => Object.assign(failed(code, unique), { constraint })
  for (const error of [
    named('23505', 'users_email_key'),
    named('23505', 'users_email_key_102008'),
    failed('23505', `${unique} "users_email_key"`),
    failed('23505', `${unique} "users_email_key_102008"`),
    failed('23505', 'doppelter Schlüsselwert verletzt Unique-Constraint »users_email_key_102008«'),
  ]) {
    t.ok(violatesUnique(error, 'users_email_key'), error.message)
    t.notOk(violatesUnique(error, 'email_key'))
    t.notOk(violatesUnique(error, 'users_email'))
    t.notOk(lacksUserRow(error))
  }
  for (const error of [
    named('23505', 'users_pkey'),
    failed('23505', `${unique} "old_users_email_key"`),
    failed('23505', `${unique} "users_email_key_1x"`),
    failed('23503', `${unique} "users_email_key"`),
    failed('23505'),
  ]) {
    t.notOk(violatesUnique(error, 'users_email_key'), error.message)
  }

  const foreign = 'insert or update on table "tasks_102008" violates foreign key constraint'
  t.ok(lacksUserRow(named('23503', 'tasks_user_id_fkey')))
  t.ok(lacksUserRow(failed('23503', `${foreign} "tasks_user_id_fkey_102008"`)))
  t.notOk(lacksUserRow(failed('23503', `${foreign} "tasks_list_id_fkey"`)))
  t.notOk(lacksUserRow(failed('23505', `${foreign} "tasks_user_id_fkey"`)))
})

t.test('an internal error of the database is no outage, unless it is one of another server', async (t) => {
  t.ok(isDatabaseUnavailable(failed('XX000', 'failure on connection marked as essential: worker:5432')))
  t.notOk(isDatabaseUnavailable(failed('XX000', 'could not find block')))
  t.notOk(isDatabaseUnavailable(failed('0A000', 'failure on connection')))
})

t.test('a statement that a table does not take is told from one to prepare again', async (t) => {
  t.ok(isNotSupported(failed('0A000', 'could not run distributed query with FOR UPDATE/SHARE commands')))
  const changed = Object.assign(failed('0A000', 'cached plan must not change result type'), {
    routine: 'RevalidateCachedQuery',
  })
  t.notOk(isNotSupported(changed))
})
