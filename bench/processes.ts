import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A measured server in its own process. */
export interface Server {
  readonly port: number
  /** Milliseconds from spawning it until it was ready. */
  readonly startTime: number
  /** Seconds of processor time; NaN without /proc. */
  cpu(): number
  /** RSS in MiB; NaN without /proc. */
  rss(): number
  stop(): Promise<void>
}

const running = new Set<Server>()

/** Stops what is still running. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((server) => server.stop()))
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  return port
}

/**
 * Starts a file of the built output with these variables and no others; its output goes nowhere, so what it logs costs
 * what writing to /dev/null does. Ready is when `/health/ready` answers 200.
 */
export async function startServer(file: string, env: Record<string, string>): Promise<Server> {
  const port = await freePort()
  const begun = performance.now()
  const child = spawn(process.execPath, [file], {
    env: { ...env, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit'],
    cwd: env['DATA_DIR'] ?? process.cwd(),
  })
  const ended = once(child, 'exit')
  let over = false
  void ended.then(() => {
    over = true
  })
  while (!(await isReady(port))) {
    if (over) throw new Error(`${file} ended before it was ready`)
    await delay(5)
  }
  const server: Server = {
    port,
    startTime: performance.now() - begun,
    cpu: () => cpuOf(child.pid),
    rss: () => rssOf(child.pid),
    async stop() {
      running.delete(server)
      child.kill('SIGTERM')
      await ended
    },
  }
  running.add(server)
  return server
}

async function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/health/ready`)
    .then(({ ok }) => ok)
    .catch(() => false)
}

function procFile(pid: number | undefined, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

/** Nanoseconds that each thread was on a processor are the first number of its schedstat. */
function cpuOf(pid: number | undefined): number {
  const threads = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : []
  if (threads.length === 0) return Number.NaN
  const ran = threads.map((thread) => Number(procFile(pid, `task/${thread}/schedstat`).split(' ')[0]))
  return ran.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9
}

function rssOf(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(procFile(pid, 'status'))?.[1]) / 1024
}

export const serviceFile = join(import.meta.dirname, '../bundle/server.js')
export const floorFile = join(import.meta.dirname, 'floor/server.js')
export const pluginServerFile = join(import.meta.dirname, 'plugin-server.js')
