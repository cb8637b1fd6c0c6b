import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { cleanUp, eventDays, eventsOfKind } from '../../../../src/clean-up/clean-up.ts'
import type { Db } from '../../../../src/db/schema.ts'
import { parseSealText, sealKeys } from '../../../../src/event-seals/seal.ts'
import { sealEvents } from '../../../../src/event-seals/sealing.ts'
import { verifySeals } from '../../../../src/event-seals/verification.ts'
import { migratedDatabase, secret, signUp, testApp } from '../../../helper.ts'

const keys = sealKeys(secret, undefined)

async function database(t: Test): Promise<Db> {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  return db
}

const note = (db: Db, count = 1, { event = 'login', user = 'alice' } = {}) =>
  sql`insert into security_events (event, user_id, session_id, key_id, client_id, ip)
    select ${event}, ${user}, 's' || n, 'k', 'c', '192.0.2.1' from generate_series(1, ${count}::int) n`.execute(
    db,
  )

/** Three seals of two events each; the texts of the log. */
async function sealed(db: Db): Promise<string[]> {
  const made: string[] = []
  for (let turn = 0; turn < 3; turn++) {
    await note(db, 2)
    made.push(...(await sealEvents(db, keys)).map(({ seal }) => seal))
  }
  return made
}

/** The faults. */
async function verify(
  db: Db,
  { last, with: using = keys }: { last?: string | undefined; with?: typeof keys } = {},
) {
  const faults: string[] = []
  const kept = { days: eventDays, ofKind: eventsOfKind }
  const onFault = (fault: string) => faults.push(fault)
  const verified = await verifySeals({
    db,
    keys: using,
    last: last ? parseSealText(last) : undefined,
    kept,
    onFault,
  })
  t.equal(verified.faults, faults.length)
  return faults
}

t.test('every event is sealed once, whenever it commits, and verifies', async (t) => {
  const db = await database(t)
  t.same(await sealEvents(db, keys), [], 'nothing to seal')
  t.same(await verify(db), [])
  const seals = await sealed(db)
  t.equal(seals.length, 3)
  for (const seal of seals) t.match(seal, /^[123]\.[A-Za-z0-9_-]{43}$/)
  // One that committed late: its id is lower than that of a sealed one.
  await sql`insert into security_events (id, event, user_id) overriding system value values (-5, 'login', 'late')`.execute(
    db,
  )
  t.match(await sealEvents(db, keys), [{ seal: /^4\./, events: 1 }])
  t.same(await sealEvents(db, keys), [])
  await note(db, 2_500)
  t.match(await sealEvents(db, keys), [{ events: 1_000 }, { events: 1_000 }, { events: 500 }])
  t.same(await verify(db), [])
  for (const last of seals) t.same(await verify(db, { last }), [])
})

t.test('a changed event is found, whichever column', async (t) => {
  const db = await database(t)
  await sealed(db)
  const changes = {
    at: sql`at + interval '1 ms'`,
    event: sql`'logout'`,
    user_id: sql`'bob'`,
    session_id: sql`null`,
    key_id: sql`'l'`,
    client_id: sql`null`,
    ip: sql`'192.0.2.2'`,
  }
  for (const [column, value] of Object.entries(changes)) {
    const before = await db
      .selectFrom('security_events')
      .selectAll()
      .where('id', '=', 4)
      .executeTakeFirstOrThrow()
    await sql`update security_events set ${sql.ref(column)} = ${value} where id = 4`.execute(db)
    t.same(await verify(db), ['seal 2: event 4 was changed'], column)
    await sql`update security_events set ${sql.ref(column)} = ${before[column as 'event']} where id = 4`.execute(
      db,
    )
    t.same(await verify(db), [])
  }
  await sql`update security_events set seal_id = 1 where id = 4`.execute(db)
  t.same(await verify(db), ['seal 2: event 4 was changed'], 'moved')
})

t.test('the columns that a seal covers are all there are', async (t) => {
  const db = await database(t)
  const { rows } = await sql<{ name: string }>`select column_name as name from information_schema.columns
    where table_name = 'security_events' and table_schema = current_schema() and column_name <> 'seal_id'`.execute(
    db,
  )
  const { sealedColumns } = await import('../../../../src/event-seals/seal.ts')
  t.same(rows.map(({ name }) => name).sort(), [...sealedColumns].sort())
})

t.test('a missing and an added event are found', async (t) => {
  const db = await database(t)
  await sealed(db)
  await sql`delete from security_events where id = 3`.execute(db)
  await sql`insert into security_events (event, user_id, seal_id) values ('login', 'mallory', 3)`.execute(db)
  t.same(await verify(db), ['seal 3: event 7 was added', 'seal 2: event 3 is missing'])
})

t.test('a changed, missing or cut-off seal is found', async (t) => {
  const db = await database(t)
  const seals = await sealed(db)
  const last = seals[2]
  const with3 = await db.selectFrom('event_seals').selectAll().where('id', '=', 3).executeTakeFirstOrThrow()

  await sql`delete from event_seals where id = 3`.execute(db)
  t.same(await verify(db), ['seal 3: missing, of which event 5 is', 'seal 3: missing, of which event 6 is'])
  // Who cuts off the events as well leaves no trace in the database.
  await sql`delete from security_events where seal_id = 3`.execute(db)
  t.same(await verify(db), [])
  t.same(await verify(db, { last }), ['seal 3: missing, and what came after it'])
  t.same(await verify(db, { last: seals[1] }), [])
  await note(db, 2)
  await sealEvents(db, keys)
  t.same(await verify(db, { last }), ['seal 3: is another than the one of the log'], 'sealed again')

  await sql`update event_seals set entries = replace(entries, '[[', '[ [') where id = 2`.execute(db)
  const changed =
    'seal 2: does not verify under SECRET_KEY or SECRET_KEY_PREVIOUS: changed, or made under another key'
  t.same(await verify(db), [changed])
  await sql`update event_seals set mac = ${with3.mac} where id = 2`.execute(db)
  t.match(await verify(db), [changed, 'seal 3: does not follow seal 2'])
  await sql`delete from event_seals where id = 2`.execute(db)
  t.same(await verify(db), ['seal 2: missing'])
  await sql`delete from event_seals where id = 1`.execute(db)
  t.match((await verify(db))[0], 'seal 3: the seals before it are missing')
})

t.test('SECRET_KEY_PREVIOUS verifies what it has sealed, an unknown key nothing', async (t) => {
  const db = await database(t)
  await sealed(db)
  const next = 'N'.repeat(40)
  await note(db)
  t.match(await sealEvents(db, sealKeys(next, secret)), [{ seal: /^4\./ }])
  t.same(await verify(db, { with: sealKeys(next, secret) }), [])
  t.equal((await verify(db, { with: sealKeys(next, undefined) })).length, 3)
  t.equal((await verify(db)).length, 1)
})

t.test('what the clean-up deletes is not missing, and what it would have kept is', async (t) => {
  const db = await database(t)
  await note(db, 300)
  await note(db, 5, { user: 'bob' })
  await sealEvents(db, keys)
  await note(db, 50)
  await cleanUp(db)
  const left = await db.selectFrom('security_events').select('id').execute()
  t.equal(left.length, 205)
  await sealEvents(db, keys)
  t.same(await verify(db), [])
  await sql`delete from security_events where id = (select min(id) from security_events where user_id = 'alice')`.execute(
    db,
  )
  t.equal((await verify(db)).length, 1)
  await sql`delete from security_events where user_id = 'bob'`.execute(db)
  t.equal((await verify(db)).length, 6)
})

t.test('old events and their seals go together, oldest first', async (t) => {
  const db = await database(t)
  const age = (days: number) =>
    sql`update security_events set at = now() - make_interval(days => ${days}) where seal_id is null`
  for (const days of [100, 95, 89]) {
    await note(db, 2)
    await age(days).execute(db)
    await sealEvents(db, keys)
  }
  await cleanUp(db)
  t.same(await verify(db), [], 'the first four events are gone')
  t.equal((await db.selectFrom('security_events').select('id').execute()).length, 2)
  t.equal((await db.selectFrom('event_seals').select('id').execute()).length, 3, 'young seals stay')
  await note(db, 1)
  await sealEvents(db, keys)
  // As if they had been made then; the clean-up looks at nothing else.
  await sql`update event_seals set at = now() - interval '100 days' where id < 4`.execute(db)
  await cleanUp(db)
  t.same(
    (await db.selectFrom('event_seals').select('id').orderBy('id').execute()).map(({ id }) => id),
    [3, 4],
    'seal 3 has events',
  )
})

t.test('the service seals what it does, and logs the seal', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, { env: { LOG_LEVEL: 'info' }, log: (line) => lines.push(line) })
  await signUp(app, 'alice')
  await app.sealEvents()
  await app.sealEvents()
  const [line, ...others] = lines
    .filter((each) => each.includes('events_sealed'))
    .map((each) => JSON.parse(each))
  t.match(line, { level: 30, events: 1, msg: 'security events sealed' })
  t.same(others, [])
  t.same(await verify(app.db, { last: line.seal }), [])
})
