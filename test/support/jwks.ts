import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from './postgres.ts'

/** Where a service's keys are read over HTTP, before there is the service; until then, nobody answers. */
export async function servedKeys(t: Test) {
  let app: FastifyInstance | null = null
  let asked = 0
  const server = createServer(async (request, response) => {
    asked++
    if (app === null) return request.socket.destroy()
    const { statusCode, headers, body } = await app.inject(request.url ?? '')
    return response.writeHead(statusCode, { 'content-type': `${headers['content-type']}` }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    jwksUrl: `${origin}/.well-known/jwks.json`,
    asked: () => asked,
    /** From now on by this service; by nobody with null. */
    serve(by: FastifyInstance | null) {
      app = by
    },
  }
}
