import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from './postgres.ts'

interface Received {
  readonly headers: Record<string, string>
  readonly body: string
}

type Answer = (response: ServerResponse, received: Received) => void

/** A receiver; what it answers can be changed. */
export async function webhookReceiver(t: Test) {
  const received: Received[] = []
  const state = { answer: ((response) => response.writeHead(204).end()) as Answer }
  const waiting: (() => void)[] = []
  const server = createServer(async (request: IncomingMessage, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const one = { headers: request.headers as Record<string, string>, body }
    received.push(one)
    state.answer(response, one)
    for (const wake of waiting.splice(0)) wake()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks?token=geheim`
  /** Resolves when so many have come. */
  const has = async (count: number) => {
    while (received.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  return { url, received, state, has }
}
