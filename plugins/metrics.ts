import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { type SecurityEventName, securityEventChannel } from '../src/audit.ts'
import type { CountConnections } from '../src/db/connection-counts.ts'
import { countMails } from '../src/mail/queue.ts'
import type { Readings } from '../src/metrics/gauges.ts'
import type { Metrics } from '../src/metrics/metrics.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Null without METRICS_PORT. */
    readonly metrics: Metrics | null
    /** The port of `GET /metrics`, once the app is ready. */
    readonly metricsPort: number | undefined
  }
}

interface MetricsOptions {
  /** 0 lets the system choose; undefined: no metrics. */
  readonly port: number | undefined
  readonly host: string
  /** Names of issuers, which begin at zero. */
  readonly issuers: readonly string[]
  readonly countConnections: CountConnections
}

/** `app.metrics`, and its listener, from when the app is ready until it closes. The library is loaded only for it. */
export default fp<MetricsOptions>(
  async (app, { port, host, issuers, countConnections }) => {
    let bound: number | undefined
    app.decorate('metricsPort', { getter: () => bound })
    if (port === undefined) {
      app.decorate('metrics', null)
      return
    }
    const [{ Metrics }, { registerGauges }, { MetricsListener }] = await Promise.all([
      import('../src/metrics/metrics.ts'),
      import('../src/metrics/gauges.ts'),
      import('../src/metrics/listener.ts'),
    ])
    const metrics = new Metrics(issuers)
    app.decorate('metrics', metrics)
    const count = (event: unknown) => metrics.countEvent(event as SecurityEventName)
    const listener = new MetricsListener(metrics)
    app.addHook('onReady', async () => {
      registerGauges(metrics.registry, readingsOf(app, countConnections))
      securityEventChannel.subscribe(count)
      bound = await listener.listen(host, port)
      app.log.info({ host, port: bound }, 'metrics are served')
    })
    app.addHook('preClose', () => listener.close())
    app.addHook('onClose', async () => void securityEventChannel.unsubscribe(count))
  },
  { name: 'latchkey-metrics', fastify: '5.x' },
)

function readingsOf(app: FastifyInstance, connections: CountConnections): Readings {
  const { db, revocations, passwords, counters, signingKeys, sessionPolicy } = app
  const signedFor = ({ signsSince }: { readonly signsSince: number | undefined }) =>
    signsSince === undefined ? undefined : sessionPolicy.clock() - signsSince
  return {
    revocations: () => revocations,
    hashQueue: () => passwords.load(),
    connections,
    outbox: () => countMails(db),
    redisUp: () => (counters.away === undefined ? undefined : !counters.away),
    signingKeyAge: signingKeys ? () => signedFor(signingKeys) : undefined,
  }
}
