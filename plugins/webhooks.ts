import fp from 'fastify-plugin'
import type { WebhookConfig } from '../src/config/webhook-config.ts'
import { beginWebhooks } from '../src/webhooks/repository.ts'
import { parseWebhookSecret } from '../src/webhooks/signature.ts'
import { WebhookWorker } from '../src/webhooks/worker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Delivers events; null without WEBHOOK_URL. */
    readonly webhookWorker: WebhookWorker | null
  }
}

const drainTimeoutMs = 5_000

/** `app.webhookWorker`, woken by each event. */
export default fp<{ readonly webhook: WebhookConfig | undefined }>(
  async (app, { webhook }) => {
    const worker = webhook ? workerOf(webhook) : null
    app.decorate('webhookWorker', worker)
    if (!worker) return
    app.onceDatabaseIsThere(async () => {
      await beginWebhooks(app.db)
      worker.start()
      app.eventArrivals.observe(() => worker.wake())
    })
    app.addHook('onClose', () => worker.stop(drainTimeoutMs))

    function workerOf({ url, secrets, types }: WebhookConfig): WebhookWorker {
      const keys = secrets.flatMap((secret) => parseWebhookSecret(secret) ?? [])
      return new WebhookWorker({
        db: app.db,
        receiver: { url, keys },
        types: types && new Set(types),
        log: app.log,
      })
    }
  },
  { name: 'latchkey-webhooks', fastify: '5.x', dependencies: ['latchkey-events'] },
)
