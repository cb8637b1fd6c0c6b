import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { post, type Service, startService } from '../../support/process.ts'

const run = promisify(execFile)

/** Paths below a folder that another user could read or write. */
function openPaths(folder: string): string[] {
  return ['', ...(readdirSync(folder, { recursive: true }) as string[])].filter(
    (path) => (statSync(join(folder, path)).mode & 0o077) !== 0,
  )
}

const tightenedBy = ({ logged }: Service) => logged().filter(({ count }) => count !== undefined)

t.test('only the service’s user can access DATA_DIR, including files created later', async (t) => {
  const cwd = t.testdir()
  const data = join(cwd, 'data')
  const before = process.umask(0)
  t.teardown(() => process.umask(before))
  const first = await startService(t, { LOG_LEVEL: 'info' }, cwd)
  const credentials = { email: 'test@example.com', password: 'password123' }
  t.equal((await post(`${first.url}/api/auth/signup`, { ...credentials, name: 'Test User' })).status, 201)
  t.same(openPaths(data), [])
  await first.stop('SIGTERM')
  t.same(openPaths(data), [])
  t.same(tightenedBy(first), [])

  for (const path of ['', 'pglite', 'pglite/PG_VERSION', 'secret_key', 'lock'])
    chmodSync(join(data, path), 0o755)
  const second = await startService(t, { LOG_LEVEL: 'info' }, cwd)
  t.same(openPaths(data), [], 'permissions of an older version or a copy are tightened')
  t.equal((await post(`${second.url}/api/auth/login`, credentials)).status, 200)
  // Asked last: the log line can arrive after the banner.
  t.match(tightenedBy(second), [{ msg: /^DATA_DIR was open to other users/, count: 5 }])
})

t.test('a DATA_DIR whose parent was removed ends the start in one line', { timeout: 120_000 }, async (t) => {
  const gone = join(t.testdir(), 'gone')
  mkdirSync(gone)
  const server = resolve('dist/bundle/server.js')
  const script = `cd '${gone}' && rmdir '${gone}' && exec env -i '${process.execPath}' '${server}'`
  const failure = await run('sh', ['-c', script], { timeout: 60_000 }).catch((error) => error)
  t.match(failure, {
    code: 1,
    stderr:
      /^latchkey: (DATA_DIR \.\/data cannot be created: its parent folder does not exist|.*ENOENT.*)\n$/,
  })
  t.throws(() => rmdirSync(gone))
})
