import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { decodeCursor, encodeCursor } from '../../../../src/sessions/revocation-cursor.ts'
import { migratedDatabase, ownApp, problemOf, signUp, testApp, twoUsers } from '../../../helper.ts'
import { sign } from '../../../support/mint.ts'
import { basic, serviceClients } from '../../../support/service-client.ts'

const env = serviceClients({ notes: ['revocations:read'], other: ['introspect'] })

interface Feed {
  readonly cursor: string
  readonly revocations: readonly Record<string, unknown>[]
}

/** A reader of the feed. */
function readerOf(app: FastifyInstance) {
  const ask = (query: Record<string, string | number> = {}, authorization = basic('notes')) =>
    app.inject({
      url: `/gateway/revocations?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, `${value}`] as [string, string]))}`,
      headers: { authorization },
    })
  const read = async (query: Record<string, string | number> = {}): Promise<Feed> => {
    const answer = await ask(query)
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${answer.body}`)
    return answer.json()
  }
  return { ask, read }
}

const sidOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid as string

const revoke = (app: FastifyInstance, from: number, to: number) =>
  sql`insert into revocations (session_id, ends_at)
    select 's' || n, now() + interval '1 hour' from generate_series(${from}::int, ${to}::int) n`.execute(
    app.db,
  )

t.test('a logout is an entry, of its session and no other', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const { ask, read } = readerOf(app)
  const start = await read()
  t.same(start.revocations, [])
  t.equal((await alice.call('POST', '/api/auth/logout')).statusCode, 204)
  const answer = await ask({ after: start.cursor })
  t.equal(answer.headers['cache-control'], 'no-store')
  t.notOk(answer.headers['link'])
  const { cursor, revocations } = answer.json<Feed>()
  t.same(
    revocations.map(({ session_id }) => session_id),
    [sidOf(alice.token)],
  )
  const left = (revocations[0]?.['ends_at'] as number) - Date.now() / 1000
  t.ok(left > 900 && left < 1000, `${left} s`)
  t.same((await read({ after: cursor })).revocations, [])
  t.match((await read()).revocations, revocations, 'without a cursor it is there as well')
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('the user of a trusted issuer, by key and time', async (t) => {
  const app = await testApp(t, { env })
  const { read } = readerOf(app)
  const { cursor } = await read()
  const iat = Math.floor(Date.now() / 1000)
  const token = sign({ alg: 'HS256' }, { sub: 'shared-1', iat, exp: iat + 600 })
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await app.inject({ method: 'POST', url: '/api/auth/logout', headers })).statusCode, 204)
  const [entry] = (await read({ after: cursor })).revocations
  t.match(entry, { user_key: 'shared-1', issued_until: Number, ends_at: Number })
  t.same(Object.keys(entry ?? {}).sort(), ['ends_at', 'issued_until', 'user_key'])
  t.ok((entry?.['issued_until'] as number) >= iat)
})

t.test('only a service client with revocations:read', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const { ask } = readerOf(app)
  const code = async (authorization: string) => (await ask({}, authorization)).json().code
  t.equal(await code(`Bearer ${alice.token}`), 'invalid_client')
  t.equal(await code(basic('notes', 'x'.repeat(43))), 'invalid_client')
  t.equal(await code(basic('other')), 'insufficient_scope')
})

t.test('what is not a cursor is 400, and so is one of another database', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  const { cursor } = await read()
  const of = (fields: unknown) => Buffer.from(JSON.stringify(fields)).toString('base64url')
  const wrong: (string | number)[] = [
    '',
    'x',
    7,
    '%00',
    `${cursor}=`,
    cursor.slice(0, -4),
    'A'.repeat(7_501),
    of(null),
    of([]),
    of({}),
    of([null, null]),
    of([null, null, [], 1]),
    of([1, null, []]),
    of(['', null, []]),
    of(['x', null, []]),
    of(['1:2', null, []]),
    of(['2:1:', null, []]),
    of(['0:1:', null, []]),
    of(['1:5:7', null, []]),
    of(['3:5:1', null, []]),
    of(['1:5:3,2', null, []]),
    of(['1:9999999999999999999:', null, []]),
    of(["1:1:'; drop table users", null, []]),
    of([null, ['1:1:', '1e99', 1], []]),
    of([null, ['1:1:', '999999999999', 1], []]),
    of([null, ['1:1:', '1.5', -1], []]),
    of([null, ['1:1:', 7, 1], []]),
    of(['1:1:', ['1:1:', '1.5', 1], []]),
    of([null, ['x', '1', 1], []]),
    of([null, ['1:1:', '1'], []]),
    of([null, null, ['a']]),
    of([null, null, ['a', 'b']]),
    of([null, null, Array(20).fill(['a', 1]).flat()]),
    of(['900000000:900000000:', null, []]),
  ]
  for (const after of wrong) {
    const answer = await ask({ after })
    t.match(problemOf(answer), { status: 400, code: /^(invalid_request|validation_failed)$/ }, `${after}`)
  }
  for (const wait of ['31', '-1', '1.5', 'x', '']) t.equal((await ask({ wait })).statusCode, 400, wait)
  t.equal((await ask({ since: cursor })).statusCode, 400, 'an unknown parameter')
  for (const fields of [
    [null, null, []],
    ['1:1:', null, []],
    ['1:1:', ['1:1:', '5', 1], ['a', 1]],
  ]) {
    t.equal((await ask({ after: of(fields) })).statusCode, 200, JSON.stringify(fields))
  }
})

t.test('a cursor survives its encoding', async (t) => {
  const cursor = {
    position: { since: '10:20:10,15', page: { until: '10:30:', after: ['12', 7] as const } },
    logs: [['a', 3] as const, ['b', 0] as const],
  }
  t.same(decodeCursor(encodeCursor(cursor)), cursor)
  const many = { ...cursor, logs: Array.from({ length: 12 }, (_, at) => [`log ${at}`, at] as const) }
  t.same(decodeCursor(encodeCursor(many))?.logs, many.logs.slice(0, 8), 'of the latest instances only')
})

t.test('many entries come in pages, each linked from the one before, and none is left out', async (t) => {
  const app = await testApp(t, { env })
  const { ask } = readerOf(app)
  await revoke(app, 1, 5_000)
  const seen = new Set<unknown>()
  let url: string | undefined = '/gateway/revocations'
  let pages = 0
  let cursor = ''
  while (url) {
    const headers = { authorization: basic('notes') }
    const answer: LightMyRequestResponse = await app.inject({ url, headers })
    const feed = answer.json<Feed>()
    t.ok(feed.revocations.length <= 2_000)
    for (const { session_id } of feed.revocations) seen.add(session_id)
    // Between two pages, sorting before those that have been read.
    if (pages++ === 0) {
      await sql`insert into revocations (session_id, ends_at) values ('between', now() + interval '1 minute')`.execute(
        app.db,
      )
    }
    cursor = feed.cursor
    const [, next]: readonly (string | undefined)[] =
      /^<([^>]+)>; rel="next"$/.exec(`${answer.headers['link']}`) ?? []
    url = next
  }
  t.equal(pages, 3)
  t.equal(seen.size, 5_000)
  const rest = (await ask({ after: cursor })).json<Feed>()
  t.same(
    rest.revocations.map(({ session_id }) => session_id),
    ['between'],
  )
})

/** Counts the statements of an app. */
async function countingApp(t: Test) {
  let statements = 0
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      statements++
      return result
    },
  })
  return { app: await testApp(t, { env, db }), statements: () => statements }
}

t.test('a reader that waits is answered at once when something is new, without a statement', async (t) => {
  const { app, statements } = await countingApp(t)
  const { read } = readerOf(app)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const ended = [alice, bob].map(({ token }) => sidOf(token))
  const counts: number[] = []
  const rounds = 12
  let { cursor } = await read({ after: (await read()).cursor })
  // In rounds, since the instance itself now and then asks for new revocations.
  for (let round = 1; round <= rounds; round++) {
    const waiting = Array.from({ length: 20 }, () => read({ after: cursor, wait: 30 }))
    while (app.publishedRevocations.waiting < 20) await new Promise(setImmediate)
    const before = statements()
    t.ok(before > 0)
    const sessions = ended.map((session) => `${session}-${round}`)
    app.revocations.apply(sessions.map((session) => ({ session, endsAt: 4_000_000_000 })))
    const answers = await Promise.all(waiting)
    counts.push(statements() - before)
    for (const { revocations } of answers) {
      t.same(
        revocations.map(({ session_id }) => session_id),
        sessions,
      )
    }
    cursor = answers[0]?.cursor ?? ''
  }
  t.equal(Math.min(...counts), 0)
  app.revocations.apply([{ session: `${ended[1]}-${rounds}`, endsAt: 4_000_000_000 }])
  const again = await read({ after: cursor, wait: 1 })
  t.same(again.revocations, [], 'a repetition is nothing new, and the wait ends')
})

t.test('a reader whose client disconnects, or whose instance drains, waits no longer', async (t) => {
  const app = await testApp(t, { env })
  const { read } = readerOf(app)
  const { cursor } = await read({ after: (await read({ wait: 30 })).cursor })
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `${address}/gateway/revocations?after=${cursor}&wait=30`
  const left = new AbortController()
  const headers = { authorization: basic('notes') }
  const asked = fetch(url, { headers, signal: left.signal })
  while (app.publishedRevocations.waiting === 0) await new Promise(setImmediate)
  left.abort()
  await t.rejects(asked, { name: 'AbortError' })
  while (app.publishedRevocations.waiting > 0) await new Promise(setImmediate)

  const draining = fetch(url, { headers })
  while (app.publishedRevocations.waiting === 0) await new Promise(setImmediate)
  const began = performance.now()
  const drain = app.drain()
  const answer = await draining
  t.ok(performance.now() - began < 1_000)
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('connection'), 'close')
  t.same(((await answer.json()) as Feed).revocations, [])
  await drain
})

t.test('an instance that does not know answers 503, at once and at the end of a wait', async (t) => {
  const app = await ownApp(t, { env })
  const { ask, read } = readerOf(app)
  const { cursor } = await read({ after: (await read()).cursor })
  const waiting = ask({ after: cursor, wait: 30 })
  while (app.publishedRevocations.waiting === 0) await new Promise(setImmediate)
  app.revocations.heard(Number.NEGATIVE_INFINITY)
  app.revocations.apply([{ session: 's', endsAt: 4_000_000_000 }])
  for (const answer of [await waiting, await ask()]) {
    t.match(problemOf(answer), { status: 503, code: 'service_unavailable' })
    t.match(answer.headers['retry-after'], /^\d+$/)
  }
})

t.test('no more than 1,000 readers wait', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  const { cursor } = await read({ after: (await read()).cursor })
  const left = new AbortController()
  const waiting = Array.from({ length: 1_000 }, () =>
    app.publishedRevocations.next(cursor, 30_000, left.signal),
  )
  while (app.publishedRevocations.waiting < 1_000) await new Promise(setImmediate)
  t.match(problemOf(await ask({ after: cursor, wait: 1 })), { status: 503 })
  t.equal((await ask({ after: cursor })).statusCode, 200, 'who does not wait is served')
  left.abort()
  await Promise.all(waiting)
})
