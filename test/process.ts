import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from './postgres.ts'

const server = join(import.meta.dirname, '../src/server.js')

export interface Service {
  readonly url: string
  readonly output: () => string
  /** Sends a signal and tells how the process ended. */
  stop(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/**
 * Starts it with what a test says and nothing else: not what the machine has set, and not the instrumentation that
 * tap puts into every child of a test.
 */
function start(t: Test, env: Record<string, string>, args: string[], cwd: string): ChildProcess {
  const variables = { PATH: process.env['PATH'], PORT: '0', LOG_LEVEL: 'silent', ...env }
  const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  const child = spawn('env', ['-i', ...settings, process.execPath, server, ...args], { cwd })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (part) => (text += part))
  return () => text
}

/** Starts the service as an operator does and waits for its banner. */
export async function startService(t: Test, env: Record<string, string>, cwd: string): Promise<Service> {
  const child = start(t, env, [], cwd)
  const output = collect(child)
  const ended = once(child, 'close')
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /listens on (http:\S+)/.exec(output())
      if (found?.[1]) resolve(found[1])
    })
    ended.then(() => reject(new Error(`the service ended: ${output()}`)))
  })
  return {
    url,
    output,
    async stop(signal) {
      child.kill(signal)
      const [code, by] = await ended
      return { code, signal: by }
    },
  }
}

/** Runs a command of the service to its end. */
export async function runCommand(t: Test, env: Record<string, string>, cwd: string, ...args: string[]) {
  const child = start(t, env, args, cwd)
  const output = collect(child)
  const [code] = await once(child, 'close')
  return { code: code as number | null, output: output() }
}

/** A JSON request to a listening service. */
export async function post(url: string, body: unknown, token?: string): Promise<Response> {
  const headers = {
    'content-type': 'application/json',
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  }
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
}
