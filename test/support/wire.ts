import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type AppOptions, testApp } from '../helper.ts'
import { assertConforms } from './conforms.ts'
import type { Test } from './postgres.ts'

/** A parsed response. */
export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The service on a port, for raw messages. */
export async function listeningApp(t: Test, options?: AppOptions): Promise<FastifyInstance> {
  const app = await testApp(t, options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

export function portOf(app: FastifyInstance): number {
  return (app.server.address() as { port: number }).port
}

/** Sends bytes (a string as Latin-1), and reads until the service closes the connection. */
export async function exchange(app: FastifyInstance, bytes: string): Promise<WireAnswer> {
  const socket = connect(portOf(app), '127.0.0.1')
  const received = await new Promise<string>((resolve, reject) => {
    let text = ''
    socket.setTimeout(5_000, () => reject(new Error(`the connection stays open after: ${text}`)))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    // A reset after the response is normal if not all bytes were read.
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
    socket.write(bytes, 'latin1')
  }).finally(() => socket.destroy())
  const answer = takeApart(received)
  // A response of a route has been checked by the hook.
  if (answer.status >= 400)
    assertConforms({ method: 'raw', path: undefined, url: bytes.slice(0, 80), ...answer })
  return answer
}

function takeApart(text: string): WireAnswer {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
  })
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(headers),
    body: text.slice(end + 4),
  }
}
