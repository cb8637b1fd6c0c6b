import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Sample {
  readonly known: boolean
  readonly body: object
}

export async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Nanoseconds from the last byte written to the first byte read. */
export async function timed(socket: Socket, path: string, body: object, expected: RegExp): Promise<number> {
  const text = JSON.stringify(body)
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n`
  return new Promise((resolve, reject) => {
    let first = 0n
    let received = ''
    const begun = process.hrtime.bigint()
    const read = (chunk: Buffer) => {
      first ||= process.hrtime.bigint()
      received += chunk.toString('latin1')
      const end = received.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (end < 0 || received.length < end + 4 + length) return
      socket.off('data', read)
      if (!expected.test(received)) reject(new Error(received.slice(0, 40)))
      else resolve(Number(first - begun))
    }
    socket.on('data', read)
    socket.write(head + text)
  })
}

/** Of a request that is not refused. */
export const answered = /^HTTP\/1.1 (2\d\d|401)/

interface Exchange {
  readonly port: number
  readonly path: string
  readonly expected?: RegExp
  readonly connections: number
  /** First samples that are not counted. */
  readonly warmUp: number
}

/** Nanoseconds of each class. */
export async function measure(
  row: readonly Sample[],
  { port, path, expected = answered, connections, warmUp }: Exchange,
) {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const times = { known: [] as number[], unknown: [] as number[] }
  let next = 0
  await Promise.all(
    sockets.map(async (socket) => {
      for (let at = next++; at < row.length; at = next++) {
        const { known, body } = row[at] as Sample
        const time = await timed(socket, path, body, expected)
        if (at >= warmUp) times[known ? 'known' : 'unknown'].push(time)
      }
      socket.destroy()
    }),
  )
  return times
}
