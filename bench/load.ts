import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ascending, quantile } from './statistics.ts'

/** A kind of request, and the status expected. */
export interface Workload {
  request(connection: number): Buffer
  readonly status: number
  /** Called with each body, before the next request. */
  onAnswer?(connection: number, body: string): void
}

export interface Load {
  /** Connections are distributed round-robin. */
  readonly ports: readonly number[]
  readonly workload: Workload
  readonly connections: number
  readonly milliseconds: number
  /** Ends the load earlier. */
  readonly atMost?: number
}

export interface Measured {
  readonly requests: number
  /** Requests per second. */
  readonly rate: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** Text of a request as it goes over the wire. */
export function requestText(
  method: string,
  path: string,
  { token, body }: { token?: string; body?: unknown } = {},
): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body)
  return Buffer.from(
    `${method} ${path} HTTP/1.1\r\nHost: latchkey.test\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}${
      text ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n` : ''
    }\r\n${text}`,
  )
}

/**
 * Keeps each connection busy with one request at a time until the time is over. Answers need a `Content-Length`.
 * @throws Error at the first answer that is not the one expected
 */
export async function runLoad({
  ports,
  workload,
  connections,
  milliseconds,
  atMost = Number.POSITIVE_INFINITY,
}: Load): Promise<Measured> {
  const sockets = await Promise.all(
    Array.from({ length: connections }, (_, at) => open(ports[at % ports.length] as number)),
  )
  const times: number[] = []
  const begun = performance.now()
  const isOver = (now: number) => now - begun >= milliseconds || times.length >= atMost
  await Promise.all(sockets.map((socket, at) => keepBusy(socket, at, workload, isOver, times))).finally(
    () => {
      for (const socket of sockets) socket.destroy()
    },
  )
  const seconds = (performance.now() - begun) / 1000
  const sorted = ascending(times)
  return {
    requests: times.length,
    rate: times.length / seconds,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

function keepBusy(
  socket: Socket,
  at: number,
  workload: Workload,
  isOver: (now: number) => boolean,
  times: number[],
): Promise<void> {
  const expected = `HTTP/1.1 ${workload.status}`
  return new Promise((resolve, reject) => {
    let received: Buffer | undefined
    let sentAt = performance.now()
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed a connection')))
    socket.on('data', (chunk) => {
      received = received ? Buffer.concat([received, chunk]) : chunk
      const head = received.indexOf('\r\n\r\n')
      if (head < 0) return
      const text = received.toString('latin1', 0, head)
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0)
      if (received.length < head + 4 + length) return
      const now = performance.now()
      times.push(now - sentAt)
      if (!text.startsWith(expected)) {
        reject(new Error(`expected ${expected}, got: ${received.toString('latin1', 0, 1_000)}`))
        return
      }
      workload.onAnswer?.(at, received.toString('utf8', head + 4))
      received = undefined
      if (isOver(now)) {
        resolve()
        return
      }
      sentAt = now
      socket.write(workload.request(at))
    })
    socket.write(workload.request(at))
  })
}
