import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import type { Test } from './postgres.ts'

/** Debian's path, which is not in every PATH. */
const program = '/usr/sbin/pgbouncer'

/**
 * A PgBouncer for one test in front of a PostgreSQL server.
 * @param settings additional lines of its configuration
 * @returns the URL of the database through it
 */
export async function pgbouncer(
  t: Test,
  url: string,
  mode: 'session' | 'transaction' | 'statement',
  settings: Record<string, string | number> = {},
): Promise<string> {
  const server = new URL(url)
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-pgbouncer-'))
  chmodSync(folder, 0o755)
  const password = server.password ? ` password=${decodeURIComponent(server.password)}` : ''
  const lines = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: mode,
    default_pool_size: 4,
    ...settings,
  }
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    [
      '[databases]',
      `* = host=${server.hostname} port=${server.port || 5432} user=${server.username || 'postgres'}${password}`,
      '[pgbouncer]',
      ...Object.entries(lines).map(([name, value]) => `${name} = ${value}`),
      '',
    ].join('\n'),
  )
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? ids('postgres') : {}
  const child = spawn(program, [join(folder, 'pgbouncer.ini')], { cwd: folder, stdio: 'ignore', ...user })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  await Promise.race([
    untilItListens(port),
    ended.then(() => {
      throw new Error('pgbouncer ended: it must be installed for this test')
    }),
  ])
  const through = new URL(server)
  through.hostname = '127.0.0.1'
  through.port = String(port)
  through.password = ''
  return through.href
}

function ids(name: string): { uid: number; gid: number } {
  const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, name])))
  return { uid: uid as number, gid: gid as number }
}

async function untilItListens(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const [event] = await Promise.race([
      once(socket, 'connect').then(() => ['connect']),
      once(socket, 'error').catch(() => ['error']),
    ]).catch(() => ['error'])
    socket.destroy()
    if (event === 'connect') return
    await delay(20)
  }
}
