import { createServer, type Server } from 'node:http'

/**
 * The service behind the gateway: without a library, a key or a token. Answers with what it was passed; here anything is
 * allowed to whoever gets through.
 */
export function neighbour(): Server {
  return createServer((request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    request.on('end', () => {
      const { method, url, headers } = request
      // `-` for a visitor, where the gateway asks with access=optional.
      const user = headers['x-latchkey-user']
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ user, method, url, bytes, headers }))
    })
  })
}

if (import.meta.filename === process.argv[1]) {
  neighbour().listen(8001, '127.0.0.1')
}
