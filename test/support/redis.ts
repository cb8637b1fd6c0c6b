import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import type { Test } from './postgres.ts'

/**
 * A Redis server for one test, to stop, start, freeze and break.
 * @param more arguments of redis-server
 */
export async function ownRedis(t: Test, more: readonly string[] = []) {
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let child: ChildProcess

  async function start(): Promise<void> {
    const settings = [
      '--bind',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      tmpdir(),
      ...more,
    ]
    child = spawn('redis-server', settings)
    const started = child
    let output = ''
    await new Promise<void>((resolve, reject) => {
      started.on('error', () => reject(new Error('redis-server must be installed for this test')))
      started.on('close', () => reject(new Error(`redis-server ended: ${output}`)))
      started.stdout?.on('data', (part) => {
        output += part
        if (output.includes('Ready to accept connections')) resolve()
      })
    })
  }

  async function kill(): Promise<void> {
    const ended = once(child, 'close')
    child.kill('SIGKILL')
    await ended
  }

  /** On a separate connection. */
  async function command<T>(run: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(url)
    try {
      return await run(redis)
    } finally {
      redis.disconnect()
    }
  }

  await start()
  t.teardown(() => child.kill('SIGKILL'))
  return {
    url,
    port,
    start,
    kill,
    command,
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
  }
}
