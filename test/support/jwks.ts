import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from './postgres.ts'

/** A JWKS endpoint whose URL exists before its service; without one it drops connections. */
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
    /** Serves the keys of an app; with null, none. */
    serve(by: FastifyInstance | null) {
      app = by
    },
  }
}
