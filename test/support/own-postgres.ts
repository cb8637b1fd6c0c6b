import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { freePort } from './free-port.ts'
import type { Test } from './postgres.ts'

/** Debian's folder of the server's programs, by version. */
const debian = '/usr/lib/postgresql'

function binaries(): string {
  const packaged = existsSync(debian)
    ? readdirSync(debian).map((version) => join(debian, version, 'bin'))
    : []
  const folders = [...packaged, ...(process.env['PATH'] ?? '').split(delimiter)]
  const folder = folders.find(
    (name) => existsSync(join(name, 'initdb')) && existsSync(join(name, 'postgres')),
  )
  if (!folder) throw new Error('a PostgreSQL server must be installed for this test')
  return folder
}

/** PostgreSQL refuses to run as root. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, 'postgres'])))
  return { uid: uid as number, gid: gid as number }
}

/** Process ids of a process's children; none where the system does not tell. */
function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`
  return existsSync(list) ? readFileSync(list, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** A PostgreSQL server for one test, to start and kill; not running yet. */
export async function ownPostgres(t: Test) {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-postgres-'))
  const user = serverUser()
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const options = { cwd: folder, ...user }
  const bin = binaries()
  execFileSync(join(bin, 'initdb'), ['--auth=trust', '--username=postgres', '--encoding=UTF8', '-D', data], {
    ...options,
    stdio: 'ignore',
  })
  let child: ChildProcess | undefined

  /**
   * Does not wait until the server accepts connections.
   * @param more settings, as name=value
   */
  function start(more: readonly string[] = []): void {
    const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`, ...more]
    const args = ['-D', data, '-p', `${port}`, ...settings.flatMap((setting) => ['-c', setting])]
    child = spawn(join(bin, 'postgres'), args, { ...options, stdio: 'ignore' })
  }

  /** kill -9 of the postmaster and of its backends, of which a busy one would go on answering. */
  async function kill(): Promise<void> {
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    const backends = childrenOf(child.pid)
    child.kill('SIGKILL')
    await ended
    backends.forEach(killIfRunning)
  }

  t.teardown(async () => {
    await kill()
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
  })
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    start,
    kill,
    /** Writes a file that only the server can read. */
    give(name: string, text: string): string {
      const path = join(folder, name)
      writeFileSync(path, text, { mode: 0o600 })
      if (user) chownSync(path, user.uid, user.gid)
      return path
    },
  }
}
