import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import type { Test } from './postgres.ts'

/** Each gateway of examples/gateways, as its own comment starts it. */
const commands = {
  nginx: () => ['nginx', '-p', '.', '-c', 'nginx.conf'],
  haproxy: () => ['haproxy', '-f', 'haproxy.cfg'],
  caddy: () => ['caddy', 'run', '--config', 'Caddyfile', '--adapter', 'caddyfile'],
  apache: (folder: string) => [
    'apache2',
    ...['-d', folder, '-f', 'httpd.conf', '-D', 'FOREGROUND'],
    // Apache serves nothing as root.
    ...(process.getuid?.() === 0 ? ['-D', 'ROOT'] : []),
  ],
} satisfies Record<string, (folder: string) => string[]>

export const gatewayNames = Object.keys(commands) as (keyof typeof commands)[]

/** The ports that the examples have, and what a test has in their place. */
export interface Ports {
  /** Of two Latchkeys. */
  readonly latchkeys: readonly [number, number]
  readonly neighbour: number
}

/** Starts a gateway with the very files of the example, but for the ports. @returns its URL */
export async function startGateway(t: Test, name: keyof typeof commands, ports: Ports): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), `latchkey-${name}-`))
  // Workers of a gateway that was started as root have an account of their own.
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'run'))
  cpSync(join('examples/gateways', name), folder, { recursive: true })
  const port = await freePort()
  const places: Record<string, number> = {
    ':8080': port,
    ':8000': ports.latchkeys[0],
    ':8010': ports.latchkeys[1],
    ':8001': ports.neighbour,
    ':8090': await freePort(),
  }
  for (const file of readdirSync(folder).filter((file) => file !== 'run')) {
    const text = readFileSync(join(folder, file), 'utf8')
    writeFileSync(
      join(folder, file),
      text.replace(/(?<=127\.0\.0\.1):\d+/g, (place) => `:${places[place]}`),
    )
  }
  const [program = '', ...args] = commands[name](folder)
  const env = { PATH: `${process.env['PATH']}:/usr/sbin`, HOME: folder }
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += part))
  const ended = once(child, 'exit').then(
    () => `${name} ended: ${output}`,
    (error: Error) => `${name} does not start: ${error.message}`,
  )
  t.teardown(async () => {
    await stop(child, ended)
    rmSync(folder, { recursive: true, force: true })
  })
  await listening(port, ended)
  return `http://127.0.0.1:${port}`
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill('SIGTERM')
  await ended
}

/** A gateway does not tell when it listens. */
async function listening(port: number, ended: Promise<string>): Promise<void> {
  let over: string | undefined
  void ended.then((why) => {
    over = why
  })
  while (over === undefined) {
    const socket = connect(port, '127.0.0.1')
    const [connected] = await Promise.race([
      once(socket, 'connect').then(() => [true]),
      once(socket, 'error').then(() => [false]),
    ]).catch(() => [false])
    socket.destroy()
    if (connected) return
    await delay(20)
  }
  throw new Error(over)
}
