import pg from 'pg'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'
import { basic, serviceClients } from '../../support/service-client.ts'

interface Feed {
  readonly cursor: string
  readonly revocations: readonly { readonly session_id: string }[]
}

/** Two instances on one database, and somebody at psql. */
async function twoInstances(t: Test) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({ DATABASE_URL: url, ...serviceClients({ notes: ['revocations:read'] }) })
  const start = async () => {
    const { db, listen, migrate } = await openDatabase(config, () => {})
    await migrate()
    const app = await buildApp(config, { db, listen })
    await app.ready()
    t.teardown(() => app.close())
    const read = async (query: string) => {
      const answer = await app.inject({
        url: `/gateway/revocations?${query}`,
        headers: { authorization: basic('notes') },
      })
      if (answer.statusCode !== 200) throw new Error(`${answer.statusCode}: ${answer.body}`)
      return answer.json<Feed>()
    }
    return { app, read }
  }
  const connect = async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end().catch(() => {}))
    return client
  }
  return { one: await start(), two: await start(), connect }
}

const revoke = "insert into revocations (session_id, ends_at) values ($1, now() + interval '1 hour')"
const idsOf = ({ revocations }: Feed) => revocations.map(({ session_id }) => session_id)

t.test(
  'a reader that changes instances misses nothing, whatever commits late, and comes to rest',
  async (t) => {
    const { one, two, connect } = await twoInstances(t)
    const [late, other] = [await connect(), await connect()]
    const seen = new Set<string>()
    let { cursor } = await one.read('')
    let turn = 0
    const note = (feed: Feed) => {
      for (const id of idsOf(feed)) seen.add(id)
      cursor = feed.cursor
    }
    /** From one instance after the other; some come more than once, at any time. */
    const readUntilSeen = async (id: string) => {
      for (let reads = 0; reads < 20 && !seen.has(id); reads++)
        note(await (turn++ % 2 === 0 ? two : one).read(`after=${cursor}&wait=5`))
    }
    /** Until neither instance has anything new. */
    const readOn = async () => {
      for (let quiet = 0, reads = 0; quiet < 2; reads++) {
        if (reads > 20) throw new Error('there is no end of news')
        const feed: Feed = await (turn++ % 2 === 0 ? two : one).read(`after=${cursor}`)
        note(feed)
        quiet = feed.revocations.length === 0 ? quiet + 1 : 0
      }
    }
    await late.query('begin')
    await late.query(revoke, ['late'])
    for (let round = 0; round < 10; round++) {
      const waiting = (round % 2 === 0 ? one : two).read(`after=${cursor}&wait=10`)
      await other.query(revoke, [`r${round}`])
      for (const id of idsOf(await waiting)) seen.add(id)
      await readUntilSeen(`r${round}`)
      await readOn()
      t.ok(seen.has(`r${round}`), `round ${round}`)
    }
    t.notOk(seen.has('late'))
    await late.query('commit')
    await readUntilSeen('late')
    t.ok(seen.has('late'))
  },
)

t.test('a cursor of an instance that is gone continues on another one', async (t) => {
  const { one, two, connect } = await twoInstances(t)
  const psql = await connect()
  await psql.query(revoke, ['before'])
  const start = await one.read('')
  t.same(idsOf(start), ['before'])
  const { cursor } = await one.read(`after=${start.cursor}`)
  await one.app.close()
  await psql.query(revoke, ['meanwhile'])
  let next = await two.read(`after=${cursor}`)
  t.ok(idsOf(next).includes('meanwhile'))
  await psql.query(revoke, ['later'])
  // The one before may come once more: its notification was behind the statement that read it.
  for (let reads = 0; reads < 3 && !idsOf(next).includes('later'); reads++) {
    next = await two.read(`after=${next.cursor}&wait=10`)
  }
  t.ok(idsOf(next).includes('later'))
})
