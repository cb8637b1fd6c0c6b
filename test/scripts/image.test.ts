import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import t from 'tap'
import { closureOf, unbundled } from '../../scripts/image.ts'
import { disconnectedDatabase } from '../../src/db/disconnected.ts'
import { listeningApp, portOf } from '../support/wire.ts'

const dockerfile = readFileSync('Dockerfile', 'utf8')

/** Runs the health check of the image as Docker does, against a port. */
async function healthCheck(port: number): Promise<number | null> {
  const [, command = ''] = /^HEALTHCHECK [^[]*CMD (\[.*\])$/m.exec(dockerfile.replaceAll('\\\n', '')) ?? []
  const [program = '', ...args] = JSON.parse(command)
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], PORT: String(port) },
    stdio: 'ignore',
  })
  const [code] = await once(child, 'exit')
  return code
}

t.test('the health check of the image starts no second Node, and checks /health/live', async (t) => {
  t.notMatch(/^HEALTHCHECK[^\n]*\n[^\n]*/m.exec(dockerfile)?.[0], /"node"/)
  const app = await listeningApp(t, { db: disconnectedDatabase() })
  const port = portOf(app)
  t.equal(await healthCheck(port), 0)
  await app.close()
  t.not(await healthCheck(port), 0, 'no server')

  for (const answer of [
    'HTTP/1.1 503 Service Unavailable\r\n\r\n',
    'HTTP/1.1 404 Not Found\r\n\r\n200',
    '',
  ]) {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end(answer)).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    t.teardown(() => server.close())
    t.not(await healthCheck((server.address() as AddressInfo).port), 0, JSON.stringify(answer))
  }
})

t.test('the image runs as a user by number, with a heap within the limit of its container', async (t) => {
  t.match(dockerfile, /^USER [1-9]\d*:[1-9]\d*$/m)
  t.match(dockerfile, /^ENTRYPOINT \["node", "--max-old-space-size-percentage=\d+", /m)
})

t.test(
  'the image has the unbundled packages with their dependencies, and no other package at all',
  async (t) => {
    const folders = closureOf(unbundled)
    for (const name of [...unbundled, '@fastify/static', 'node-gyp-build']) {
      t.ok(
        folders.some((folder) => folder.endsWith(`node_modules/${name}`)),
        name,
      )
    }
    for (const name of ['fastify', 'kysely', 'pg', 'typescript', 'tap']) {
      t.notOk(
        folders.some((folder) => folder.endsWith(`node_modules/${name}`)),
        name,
      )
    }
  },
)
