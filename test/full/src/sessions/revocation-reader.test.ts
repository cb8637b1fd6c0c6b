import type { RequestListener } from 'node:http'
import t, { type Test } from 'tap'
import { RevocationReader } from '../../../../src/sessions/revocation-reader.ts'
import { Revocations } from '../../../../src/sessions/revocations.ts'
import { listening } from '../../../support/better-auth.ts'

type Answer = RequestListener | object

/** A feed that answers what the test says, and a reader whose clock is the test's. */
async function setUp(t: Test, first: Answer) {
  const asked: { url: string; authorization: string | undefined }[] = []
  const logged: string[] = []
  const time = { now: 0 }
  const feed = { answer: first }
  let onAsked = () => {}
  const server = await listening(t, (request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization })
    onAsked()
    const { answer } = feed
    if (typeof answer === 'function') return void (answer as RequestListener)(request, response)
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  const revocations = new Revocations(
    () => 1_800_000_000,
    () => time.now,
  )
  const log = {
    warn: (_: object, message: string) => void logged.push(message),
    info: (_: object, message: string) => void logged.push(message),
  }
  const reader = new RevocationReader({
    url: `${server.origin}/`,
    clientId: 'notes',
    clientSecret: 'a:b c',
    revocations,
    log,
  })
  t.teardown(() => reader.stop())
  /** Resolves when the reader has asked so often. */
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      onAsked = () => {
        if (asked.length >= count) resolve()
      }
      onAsked()
    })
  const live = (sid: string) => {
    try {
      revocations.assertLive({ sub: 'x', userId: 'x', issuer: undefined, sid, issuedAt: 0, expiresAt: 0 })
      return 'live'
    } catch (error) {
      return (error as Error).message
    }
  }
  return { feed, asked, logged, time, reader, revocations, until, live, server }
}

const hold: RequestListener = () => {}
const entry = (session_id: string) => ({ session_id, ends_at: 1_800_000_900 })

t.test('reads all pages, then waits with the last cursor; what it does not know it ignores', async (t) => {
  const { feed, asked, reader, revocations, live, until } = await setUp(t, (_, response) => {
    feed.answer = {
      cursor: 'two',
      revocations: [
        entry('s2'),
        { key_id: 'key_1', ends_at: 1_800_000_900 },
        { device_id: 'd1', ends_at: 1_800_000_900 },
        { user_key: 'u', issued_until: 1.5, ends_at: 1_800_000_900 },
      ],
    }
    t.notOk(revocations.current)
    response.setHeader('link', '</gateway/revocations?after=one>; rel="next"')
    response.end(JSON.stringify({ cursor: 'one', revocations: [entry('s1')] }))
  })
  const started = reader.start()
  await until(2)
  feed.answer = hold
  await started
  await until(3)
  t.same(
    asked.map(({ url }) => url),
    [
      '/gateway/revocations?wait=0',
      '/gateway/revocations?wait=0&after=one',
      '/gateway/revocations?wait=4&after=two',
    ],
  )
  const [id = '', secret = ''] = Buffer.from((asked[0]?.authorization ?? '').slice(6), 'base64')
    .toString()
    .split(':')
  t.same([id, decodeURIComponent(secret)], ['notes', 'a:b c'])
  t.equal(revocations.size, 4)
  t.same([live('s1'), live('s2'), live('s3')], ['revoked', 'revoked', 'live'])
})

t.test('503 when nothing was heard for 10 seconds, and it heals by itself', async (t) => {
  const { feed, asked, logged, time, reader, revocations, live, until } = await setUp(t, {
    cursor: 'one',
    revocations: [],
  })
  const unavailable = 'The service is temporarily unavailable'
  t.equal(live('s1'), unavailable, 'before it has started')
  const started = reader.start()
  await until(1)
  feed.answer = (_, response) => response.writeHead(500).end()
  await started
  time.now = 10_000
  t.equal(live('s1'), 'live')
  time.now = 10_001
  t.equal(live('s1'), unavailable)
  await until(asked.length + 3)
  feed.answer = { cursor: 'two', revocations: [entry('s1')] }
  while (!revocations.current) await new Promise((resolve) => setTimeout(resolve, 5))
  t.same([live('s1'), live('s2')], ['revoked', 'live'])
  t.same(logged, [
    'the revocations of the Latchkey could not be read; trying again',
    'the revocations of the Latchkey are read again',
  ])
})

t.test('an answer counts from when it was due, not from when it was read', async (t) => {
  const { time, reader, revocations } = await setUp(t, (_, response) => {
    // The process stood still.
    time.now += 11_000
    response.end(JSON.stringify({ cursor: 'one', revocations: [] }))
  })
  await reader.start()
  t.notOk(revocations.current)
})

t.test('a refused secret is logged once, and tried again until it is accepted', async (t) => {
  const { feed, asked, logged, reader, revocations, until } = await setUp(t, (_, response) =>
    response.writeHead(401).end(),
  )
  await reader.start()
  await until(3)
  t.match(logged, [/refuses the client of revocations: wrong clientSecret/])
  t.equal(logged.length, 1)
  t.notMatch(logged[0], /a:b/)
  feed.answer = { cursor: 'one', revocations: [] }
  while (!revocations.current) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(logged.length, 2)
  t.ok(asked.length >= 4)
})

t.test('a cursor that is lost: it starts over, and forgets nothing', async (t) => {
  const { feed, asked, reader, until, live } = await setUp(t, { cursor: 'one', revocations: [entry('s1')] })
  const started = reader.start()
  await until(1)
  feed.answer = (request, response) => {
    if (request.url?.includes('after=one')) return response.writeHead(400).end()
    feed.answer = hold
    return response.end(JSON.stringify({ cursor: 'new', revocations: [entry('s2')] }))
  }
  await started
  await until(4)
  t.same(
    asked.slice(2).map(({ url }) => url),
    ['/gateway/revocations?wait=0', '/gateway/revocations?wait=4&after=new'],
  )
  t.same([live('s1'), live('s2')], ['revoked', 'revoked'])
})

t.test(
  'stops at once while it waits; a redirect is not followed, and neither is what is no feed',
  async (t) => {
    const { feed, asked, logged, reader, until, server } = await setUp(t, (_, response) =>
      response.writeHead(307, { location: `${server.origin}/elsewhere` }).end(),
    )
    await reader.start()
    for (const answer of [{}, null, { cursor: 1, revocations: [] }, { cursor: 'x', revocations: [{}] }]) {
      feed.answer = (_, response) => response.end(JSON.stringify(answer))
      await until(asked.length + 1)
    }
    t.ok(asked.every(({ url }) => url.startsWith('/gateway/revocations?wait=0')))
    t.equal(logged.length, 1)
    feed.answer = { cursor: 'one', revocations: [] }
    await until(asked.length + 1)
    feed.answer = hold
    await until(asked.length + 1)
    reader.stop()
    const count = asked.length
    await new Promise((resolve) => setTimeout(resolve, 50))
    t.equal(asked.length, count)
  },
)
