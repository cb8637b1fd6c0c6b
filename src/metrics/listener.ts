import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a scrape gets. */
export interface Rendering {
  readonly contentType: string
  render(): Promise<string>
}

/** Milliseconds; longer than the usual interval of scrapes, which reuse the connection. */
const keepAliveTimeout = 75_000

/** Scrapers are few; a flood must not use up the descriptors of the process. */
const maxConnections = 64

/** Answers `GET /metrics` on a port of its own, and nothing else. */
export class MetricsListener {
  readonly #server: Server
  #rendering: Promise<string> | undefined

  constructor(metrics: Rendering) {
    const server = createServer(
      { keepAliveTimeout, headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 8 * 1024 },
      (request, response) => {
        const [path] = (request.url ?? '').split('?')
        const isRead = request.method === 'GET' || request.method === 'HEAD'
        if (path !== '/metrics') return void response.writeHead(404).end()
        if (!isRead) return void response.writeHead(405, { allow: 'GET, HEAD' }).end()
        this.#render(metrics).then(
          (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
          () => response.writeHead(500).end(),
        )
      },
    )
    server.maxConnections = maxConnections
    this.#server = server
  }

  /** Single-flight: concurrent scrapes share one reading. */
  #render(metrics: Rendering): Promise<string> {
    this.#rendering ??= metrics.render().finally(() => {
      this.#rendering = undefined
    })
    return this.#rendering
  }

  /** @throws the error of `listen` @returns the port */
  async listen(host: string, port: number): Promise<number> {
    const server = this.#server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    return (server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}
