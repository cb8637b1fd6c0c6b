import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { deleteOldEvents } from '../../../../src/events/repository.ts'
import { listens, migratedDatabase, password, problemOf, signUp, testApp, twoUsers } from '../../../helper.ts'
import { basic, serviceClients } from '../../../support/service-client.ts'

const env = serviceClients({ reader: ['events:read'], other: ['revocations:read'] })

interface Feed {
  readonly cursor: string
  readonly events: readonly { id: string; type: string; at: string; user_id: string | null }[]
}

type Query = Record<string, string | number>

/** A reader of the feed. */
function readerOf(app: FastifyInstance) {
  const ask = (query: Query = {}, authorization = basic('reader')) =>
    app.inject({
      url: `/api/events?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, `${value}`] as [string, string]))}`,
      headers: { authorization },
    })
  const read = async (query: Query = {}): Promise<Feed> => {
    const answer = await ask(query)
    if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${answer.body}`)
    return answer.json()
  }
  return { ask, read }
}

const note = (app: FastifyInstance, event: string, count = 1) =>
  sql`insert into security_events (event, user_id) select ${event}, 'u' || n
    from generate_series(1, ${count}::int) n`.execute(app.db)

const typesIn = ({ events }: Feed) => events.map(({ type }) => type)

t.test('what happens to users is in the feed, each thing once and of its user', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const { ask, read } = readerOf(app)
  const first = await ask()
  t.equal(first.headers['cache-control'], 'no-store')
  t.notOk(first.headers['link'])
  const { cursor, events } = first.json<Feed>()
  t.strictSame(
    events.map(({ type, user_id }) => [type, user_id]),
    [
      ['user.created', alice.id],
      ['account_created', alice.id],
      ['user.created', bob.id],
      ['account_created', bob.id],
    ],
  )
  for (const { id, at } of events) {
    t.match(id, /^event_[0-9a-hjkmnp-tv-z]{26}$/)
    t.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000)
  }
  t.equal(new Set(events.map(({ id }) => id)).size, 4)
  t.notMatch(first.body, /@example\.com|alice\./, 'no address')

  await alice.call('PATCH', '/api/auth/me', { name: 'Alice' })
  await alice.call('PATCH', '/api/auth/me', { name: 'Alice' })
  await bob.call('POST', '/api/auth/me/delete', { password })
  const next = await read({ after: cursor })
  t.strictSame(
    next.events.map(({ type, user_id }) => [type, user_id]).sort(),
    [
      ['account_deleted', bob.id],
      ['session_ended', bob.id],
      ['user.deleted', bob.id],
      ['user.updated', alice.id],
    ],
    'and what changes nothing is no event',
  )
  t.same((await read({ after: next.cursor })).events, [])
  t.same((await read()).events, [...events, ...next.events], 'without a cursor, from the start')
})

t.test('a user of a trusted issuer, and one changed by SQL', async (t) => {
  const app = await testApp(t, { env })
  const { read } = readerOf(app)
  await sql`insert into users (id, email, name, issuer, subject) values ('i s', null, 'x', 'i', 's')`.execute(
    app.db,
  )
  await sql`update users set email = 'x@example.com', email_verified = true`.execute(app.db)
  await sql`update users set named_by = 'x@example.com'`.execute(app.db)
  const { events } = await read()
  t.strictSame(
    events.map(({ type, user_id }) => [type, user_id]),
    [
      ['user.created', 'i s'],
      ['user.updated', 'i s'],
    ],
  )
})

t.test('only a service client with events:read', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const { ask } = readerOf(app)
  const code = async (authorization: string) => (await ask({}, authorization)).json().code
  t.equal(await code(`Bearer ${alice.token}`), 'invalid_client')
  t.equal(await code(basic('reader', 'x'.repeat(43))), 'invalid_client')
  t.equal(await code(basic('other')), 'insufficient_scope')
})

t.test('pages and types', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  await note(app, 'login', 250)
  await note(app, 'password_changed', 3)
  await note(app, 'login', 600)
  await note(app, 'session_ended', 2)

  const seen = new Set<string>()
  let url: string | undefined = '/api/events?limit=400'
  let pages = 0
  while (url) {
    const answer: Awaited<ReturnType<typeof ask>> = await app.inject({
      url,
      headers: { authorization: basic('reader') },
    })
    const { events } = answer.json<Feed>()
    for (const { id } of events) seen.add(id)
    pages++
    const [, next]: readonly (string | undefined)[] =
      /^<([^>]+)>; rel="next"$/.exec(`${answer.headers['link']}`) ?? []
    url = next
  }
  t.equal(pages, 3)
  t.equal(seen.size, 855)

  const types = 'session_ended,password_changed'
  t.same(typesIn(await read({ types })), [
    ...Array(3).fill('password_changed'),
    ...Array(2).fill('session_ended'),
  ])
  const two = await ask({ types, limit: 2 })
  t.match(two.headers['link'], /types=session_ended%2Cpassword_changed/)
  t.same(typesIn(two.json()), ['password_changed', 'password_changed'])
  t.same(typesIn(await read({ types, after: two.json<Feed>().cursor })), [
    'password_changed',
    'session_ended',
    'session_ended',
  ])
  t.same((await read({ types: 'user.created' })).events, [])

  for (const wrong of [
    { types: 'logins' },
    { types: '' },
    { types: 'login,' },
    { limit: 0 },
    { limit: 501 },
    { wait: 31 },
    { x: 1 },
  ])
    t.match(problemOf(await ask(wrong)), { status: 400, code: 'validation_failed' }, JSON.stringify(wrong))
  t.match((await ask({ types: 'login,logins' })).json().errors, [{ path: 'types' }])
})

t.test('what is not a cursor is 400, and so is one of another database', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  const { cursor } = await read()
  const of = (fields: unknown) => Buffer.from(JSON.stringify(fields)).toString('base64url')
  for (const after of [
    '',
    'x',
    '%00',
    `${cursor}=`,
    cursor.slice(0, -4),
    of([null, null, 0]),
    of(['1:2', null, 0]),
    of(['2:1:', null, 0]),
    of(["1:1:'; drop table users", null, 0]),
    of(['1:1:', ['1:1:', '1.5', 1], 0]),
    of(['1:1:', null, []]),
    of(['900000000:900000000:', null, 0]),
  ])
    t.match(
      problemOf(await ask({ after })),
      { status: 400, code: /^(invalid_request|validation_failed)$/ },
      after,
    )
})

t.test('a cursor after which events were deleted is 410, others continue', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  const empty = (await read()).cursor
  await note(app, 'login', 3)
  const { cursor: afterTwo } = await read({ limit: 2 })
  const { cursor: afterThree } = await read()
  await deleteOldEvents(app.db)
  t.equal((await read({ after: empty })).events.length, 3, 'nothing is old')
  await sql`update events set at = now() - interval '8 days'`.execute(app.db)
  await note(app, 'logout', 1)
  await deleteOldEvents(app.db)
  const gone = await ask({ after: empty })
  t.match(problemOf(gone), { status: 410, code: 'cursor_expired', title: 'Gone' })
  t.same(typesIn(await read({ after: afterThree })), ['logout'])
  t.equal((await ask({ after: afterTwo })).statusCode, 410, 'within a page too')
  t.same(typesIn(await read()), ['logout'])
  await note(app, 'login', 6)
  await deleteOldEvents(app.db, 4)
  t.equal((await read()).events.length, 4, 'the newest are kept')
  t.equal((await ask({ after: afterThree })).statusCode, 410)
})

/** An app that counts its statements. */
async function countingApp(t: Test, { notified }: { notified: boolean }) {
  let statements = 0
  const plain = await migratedDatabase(t)
  const db = plain.withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      statements++
      return result
    },
  })
  const listenToEvents = notified ? listens.get(plain) : undefined
  return { app: await testApp(t, { env, db, listenToEvents }), statements: () => statements }
}

t.test('a reader that waits is answered at once, and costs no statement meanwhile', async (t) => {
  const { app, statements } = await countingApp(t, { notified: true })
  const { read } = readerOf(app)
  const { cursor } = await read()
  const { eventArrivals: arrivals } = app
  const all = read({ after: cursor, wait: 30 })
  const some = read({ after: cursor, wait: 30, types: 'user.created' })
  // They read once more when the listener is there.
  while (arrivals.count === 0 || arrivals.readers.count < 2) await new Promise(setImmediate)
  const counts: number[] = []
  // In rounds, since the instance itself now and then asks for revocations and mails.
  for (let round = 0; round < 10; round++) {
    const before = statements()
    await new Promise((resolve) => setTimeout(resolve, 50))
    counts.push(statements() - before)
  }
  t.equal(Math.min(...counts), 0)
  const began = performance.now()
  await note(app, 'login')
  t.same(typesIn(await all), ['login'])
  t.ok(performance.now() - began < 5_000)
  const alice = await signUp(app, 'alice')
  const got = await some
  t.match(got.events, [{ type: 'user.created', user_id: alice.id }])
  t.same((await read({ after: got.cursor, wait: 1, types: 'login' })).events, [], 'the wait ends')
})

t.test('where the database cannot notify, one statement in two seconds is for all readers', async (t) => {
  const { app, statements } = await countingApp(t, { notified: false })
  const { read } = readerOf(app)
  const { cursor } = await read()
  const waiting = Array.from({ length: 20 }, () => read({ after: cursor, wait: 30 }))
  while (app.eventArrivals.readers.count < 20) await new Promise(setImmediate)
  const before = statements()
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  t.ok(statements() - before <= 2, `${statements() - before} statements`)
  await note(app, 'login')
  for (const feed of await Promise.all(waiting)) t.same(typesIn(feed), ['login'])
})

t.test('a reader whose client disconnects, or whose instance drains, waits no longer', async (t) => {
  const app = await testApp(t, { env })
  const { cursor } = await readerOf(app).read()
  const { readers } = app.eventArrivals
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `${address}/api/events?after=${cursor}&wait=30`
  const waits = async (count: number) => {
    while (readers.count !== count) await new Promise(setImmediate)
  }
  const left = new AbortController()
  const headers = { authorization: basic('reader') }
  const asked = fetch(url, { headers, signal: left.signal })
  await waits(1)
  left.abort()
  await t.rejects(asked, { name: 'AbortError' })
  await waits(0)

  const draining = fetch(url, { headers })
  await waits(1)
  const drain = app.drain()
  const answer = await draining
  t.equal(answer.status, 200)
  t.same(((await answer.json()) as Feed).events, [])
  await drain
})

t.test('no more than 200 readers wait', async (t) => {
  const app = await testApp(t, { env })
  const { ask, read } = readerOf(app)
  const { cursor } = await read()
  const left = Array.from({ length: 200 }, () => new AbortController())
  const question = { after: cursor, types: undefined, limit: 1, waitMs: 30_000 }
  const waiting = left.map(({ signal }) => app.publishedEvents.next(question, signal))
  while (app.eventArrivals.readers.count < 200) await new Promise(setImmediate)
  t.match(problemOf(await ask({ after: cursor, wait: 1 })), { status: 503 })
  t.equal((await ask({ after: cursor })).statusCode, 200, 'who does not wait is served')
  for (const each of left) each.abort()
  await Promise.all(waiting)
})
