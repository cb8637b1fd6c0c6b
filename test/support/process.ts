import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { assertConforms } from './conforms.ts'
import { documentedPath } from './contract-file.ts'
import type { Test } from './postgres.ts'

const server = join(import.meta.dirname, '../../bundle/server.js')

export interface Service {
  readonly url: string
  readonly pid: number
  readonly output: () => string
  /** The log lines so far. */
  readonly logged: () => Record<string, unknown>[]
  /** Exit code and signal. */
  readonly ended: Promise<Ending>
  /** Sends a signal. @returns exit code and signal */
  stop(signal: NodeJS.Signals): Promise<Ending>
}

interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * Starts the service with the test's variables only: without those of the machine, and without tap's instrumentation.
 */
function start(t: Test, env: Record<string, string>, args: string[], cwd: string): ChildProcess {
  const variables = { PATH: process.env['PATH'], PORT: '0', LOG_LEVEL: 'silent', ...env }
  const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`)
  // Most of these processes end before optimized WebAssembly pays.
  const child = spawn('env', ['-i', ...settings, process.execPath, '--liftoff-only', server, ...args], {
    cwd,
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (part) => (text += part))
  return () => text
}

/** The complete log lines in a service's output. */
function logLines(output: string): Record<string, unknown>[] {
  return output
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
}

/** Starts the service, and waits for its banner. */
export async function startService(t: Test, env: Record<string, string>, cwd: string): Promise<Service> {
  const child = start(t, env, [], cwd)
  const output = collect(child)
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const found = /listens on (http:\S+)/.exec(output())
      if (found?.[1]) resolve(found[1])
    })
    ended.then(() => reject(new Error(`the service ended: ${output()}`)))
  })
  return {
    url,
    pid: child.pid as number,
    output,
    logged: () => logLines(output()),
    ended,
    stop(signal) {
      child.kill(signal)
      return ended
    },
  }
}

/** Runs a command of the service, and waits for its end. */
export async function runCommand(t: Test, env: Record<string, string>, cwd: string, ...args: string[]) {
  return startCommand(t, env, cwd, ...args).ended
}

/** Starts a command of the service. */
export function startCommand(t: Test, env: Record<string, string>, cwd: string, ...args: string[]) {
  const child = start(t, env, args, cwd)
  const output = collect(child)
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output: output() }))
  return {
    /** With standard output and standard error. */
    ended,
    /** Sends a text to its standard input. */
    feed: (text: string) => child.stdin?.end(text),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Waits until the output matches. */
    untilOutput: async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const found = pattern.exec(output())
        if (found) return found
        const more = [child.stdout, child.stderr].map((stream) =>
          once(stream as Readable, 'data').then(() => false),
        )
        const isOver = await Promise.race([...more, ended])
        if (isOver) throw new Error(`the command ended: ${output()}`)
      }
    },
  }
}

/** Sends a request to a service in another process, and validates the response by the contract. */
export async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(url, init)
  const { pathname } = new URL(url)
  assertConforms({
    method: init.method ?? 'GET',
    path: documentedPath(pathname),
    url: pathname,
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: await answer.clone().text(),
  })
  return answer
}

/** A JSON request to a service in another process. */
export async function post(url: string, body: unknown, token?: string): Promise<Response> {
  const headers = {
    'content-type': 'application/json',
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  }
  return ask(url, { method: 'POST', headers, body: JSON.stringify(body) })
}
