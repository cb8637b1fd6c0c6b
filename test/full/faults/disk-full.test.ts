import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import { openEmbedded } from '../../../src/db/embedded.ts'
import { post, runCommand, startService } from '../../support/process.ts'
import { get, password, signUpAt, titlesAt } from '../../support/remote-user.ts'
import { smallDisk } from '../../support/small-disk.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

const settings = { LOG_LEVEL: 'info', RATE_LIMITS: 'off', MAX_EVENT_LOOP_DELAY_MS: '0', DATA_DIR: 'data' }

t.test('a full disk under the embedded database: 503 on writes, reads work, it recovers', async (t) => {
  const disk = smallDisk(t, 64)
  seedDataFolder(join(disk.folder, 'data'))
  const service = await startService(t, settings, disk.folder)
  const { url } = service
  const user = await signUpAt(url)
  const add = (title: string) =>
    post(`${url}${user.tasks}`, { title, description: 'x'.repeat(1000) }, user.token)

  const acknowledged: string[] = []
  const refused: Response[] = []
  const write = async (worker: number) => {
    for (let at = 0; refused.length < 20; at++) {
      const title = `${worker}-${at}`
      const answer = await add(title)
      if (answer.status === 201) acknowledged.push(title)
      else refused.push(answer)
    }
  }
  const fill = async () => {
    while (acknowledged.length < 50) await setImmediate()
    disk.fill()
  }
  await Promise.all([write(1), write(2), write(3), fill()])
  t.same([...new Set(refused.map(({ status }) => status))], [503])
  t.match(await refused[0]?.json(), { code: 'service_unavailable' })
  t.equal(refused[0]?.headers.get('retry-after'), '1')
  t.same(
    new Set(await titlesAt(url, user)),
    new Set(acknowledged),
    'reads work, and return every acknowledged task',
  )

  t.equal((await get(`${url}/api/someone_else/tasks`, user)).status, 403)
  t.equal((await get(`${url}/api/auth/me`, user)).status, 200)
  t.equal((await fetch(`${url}${user.tasks}`)).status, 401)
  t.equal((await fetch(`${url}/health/ready`)).status, 200)
  t.equal((await post(`${url}/api/auth/login`, { email: user.email, password })).status, 503)
  const warned = service.logged().filter(({ level }) => level === 40)
  t.match(warned, [{ err: { type: 'NoRoomLeft', message: /^less than 8 MiB are free/ } }], 'logged once')

  disk.makeRoom()
  t.equal((await add('with room again')).status, 201)
  acknowledged.push('with room again')

  disk.fill()
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null }, 'a stop on a full disk')
  disk.makeRoom()
  const again = await startService(t, settings, disk.folder)
  t.same(new Set(await titlesAt(again.url, user)), new Set(acknowledged))
  t.same(await again.stop('SIGTERM'), { code: 0, signal: null })
})

/** Deletes a database's WAL except the current segment, and fills most of that. */
async function nearTheEndOfItsLog(dataDir: string): Promise<void> {
  const db = await openEmbedded(dataDir, () => {})
  await sql`checkpoint`.execute(db)
  const { rows } = await sql<{ segment: string; left: number }>`
    select file_name as segment, 1048576 - file_offset as left
    from pg_walfile_name_offset(pg_current_wal_lsn())`.execute(db)
  const { segment, left } = rows[0] ?? { segment: '', left: 0 }
  await sql`select pg_logical_emit_message(false, '', repeat('x', ${left - 60_000}::int))`.execute(db)
  await db.destroy()
  const log = join(dataDir, 'pglite', 'pg_wal')
  const others = readdirSync(log).filter((name) => /^[0-9A-F]{24}$/.test(name) && name !== segment)
  for (const name of others) rmSync(join(log, name))
}

t.test('an embedded database that fails ends the process; the next start recovers', async (t) => {
  const disk = smallDisk(t, 64)
  const dataDir = join(disk.folder, 'data')
  seedDataFolder(dataDir)
  await nearTheEndOfItsLog(dataDir)
  // Simulates a race: the disk fills between the check of its free space and the write.
  const blind = join(disk.folder, 'blind.mjs')
  writeFileSync(
    blind,
    `import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    fs.statfsSync = () => ({ bavail: 2 ** 30, bsize: 1 })
    syncBuiltinESMExports()`,
  )
  const service = await startService(t, { ...settings, NODE_OPTIONS: `--import=${blind}` }, disk.folder)
  const user = await signUpAt(service.url)
  const made = await post(`${service.url}${user.tasks}`, { title: 'before' }, user.token)
  const path = made.headers.get('location')
  const rename = (title: string) =>
    fetch(`${service.url}${path}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${user.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ title }),
    })

  disk.fill()
  const titles = ['before']
  let answer: Response
  do {
    titles.push(randomBytes(90).toString('hex'))
    answer = await rename(titles.at(-1) ?? '')
  } while (answer.status === 200)
  t.match(await answer.json(), { status: 503, code: 'service_unavailable' })
  t.same(await service.ended, { code: 1, signal: null })
  const fatal = service.logged().filter(({ level }) => level === 60)
  t.match(fatal, [{ err: { type: 'EmbeddedDatabaseFailed', message: /No space left on device/ } }])

  const refused = await runCommand(t, settings, disk.folder)
  t.equal(refused.code, 1)
  t.match(refused.output, /^latchkey: cannot start: .*less than 8 MiB are free\n$/)

  disk.makeRoom()
  const again = await startService(t, settings, disk.folder)
  const { title } = (await (await get(`${again.url}${path}`, user)).json()) as { title: string }
  t.ok(titles.slice(-2).includes(title), 'the last acknowledged title, or the unacknowledged one')
  t.same(await again.stop('SIGTERM'), { code: 0, signal: null })
})

t.test('a first start on a full disk ends with one line, and succeeds when there is room', async (t) => {
  const disk = smallDisk(t, 48)
  disk.fill(12 * 2 ** 20)
  const refused = await runCommand(t, settings, disk.folder)
  t.equal(refused.code, 1)
  t.match(refused.output, /^latchkey: cannot start: .*\n$/)
  disk.makeRoom()
  const service = await startService(t, settings, disk.folder)
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
})
