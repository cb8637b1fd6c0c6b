import { EventEmitter, once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import type { Test } from './postgres.ts'

/** A received mail. */
export interface ReceivedMail {
  readonly from: string
  readonly recipients: readonly string[]
  /** In the order of the message, unfolded. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly text: string
  readonly html: string
}

export interface MailServer {
  readonly port: number
  readonly mails: ReceivedMail[]
  /** `connect`; `data` when a message has arrived, before the reply; `mail` after it was accepted. */
  readonly events: EventEmitter
  /** Closes every connection. */
  cut(): void
  close(): Promise<void>
}

interface Behaviour extends SMTPServerOptions {
  readonly port?: number
  /** Decides the reply to a message. */
  readonly accept?: () => Promise<Error | null>
}

/** A mail server on the loopback address. */
export async function mailServer(
  t: Test,
  { port = 0, accept, ...options }: Behaviour = {},
): Promise<MailServer> {
  const mails: ReceivedMail[] = []
  const events = new EventEmitter()
  const server = new SMTPServer({
    logger: false,
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    closeTimeout: 10,
    onConnect(_session, callback) {
      events.emit('connect')
      callback()
    },
    onData(stream, { envelope }, callback) {
      stream.setEncoding('utf8')
      let raw = ''
      stream.on('data', (part) => (raw += part))
      stream.on('end', async () => {
        events.emit('data')
        const refusal = (await accept?.()) ?? null
        if (!refusal) {
          const from = envelope.mailFrom ? envelope.mailFrom.address : ''
          mails.push({ ...takeApart(raw), from, recipients: envelope.rcptTo.map(({ address }) => address) })
        }
        callback(refusal)
        if (!refusal) events.emit('mail', mails.at(-1))
      })
    },
    ...options,
  })
  // Clients may disconnect.
  server.on('error', () => {})
  server.listen(port, '127.0.0.1')
  await once(server.server, 'listening')
  const sockets = new Set<Socket>()
  server.server.on('connection', (socket) => sockets.add(socket))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const close = () => new Promise<void>((resolve) => server.close(resolve))
  t.teardown(close)
  return { port: (server.server.address() as AddressInfo).port, mails, events, cut, close }
}

/** A refusal with a reply code. */
export function refusal(responseCode: number): Error {
  return Object.assign(new Error('refused by the test'), { responseCode })
}

/** A closed port of the loopback address. */
export async function closedPort(t: Test): Promise<number> {
  const server = await mailServer(t)
  await server.close()
  return server.port
}

function takeApart(raw: string) {
  const { headers, body } = entity(raw)
  const boundary = /boundary="([^"]+)"/.exec(headerOf(headers, 'content-type'))?.[1]
  const parts = body.split(`--${boundary}`).map((part) => entity(part.replace(/^\r\n/, '')))
  const content = (type: string) => {
    const part = parts.find((one) => headerOf(one.headers, 'content-type').startsWith(type))
    return part ? decode(part.body, headerOf(part.headers, 'content-transfer-encoding')) : ''
  }
  return { headers, text: content('text/plain'), html: content('text/html') }
}

function entity(raw: string) {
  const end = raw.indexOf('\r\n\r\n')
  const lines = raw
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
  const headers = lines.map((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
  })
  return { headers, body: raw.slice(end + 4) }
}

export function headerOf(headers: ReceivedMail['headers'], name: string): string {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1] ?? ''
}

/** RFC 2045 section 6. */
function decode(body: string, encoding: string): string {
  const text = body.replace(/\r\n$/, '')
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString()
  if (encoding !== 'quoted-printable') return text
  const bytes = text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}
