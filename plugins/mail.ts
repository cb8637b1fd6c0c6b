import fp from 'fastify-plugin'
import type { MailStyle } from '../src/mail/compose.ts'
import { LocalMailbox } from '../src/mail/local-mailbox.ts'
import type { Mail, TokenPolicy } from '../src/mail/mail.ts'
import type { SmtpServer } from '../src/mail/settings.ts'
import type { Transport } from '../src/mail/transport.ts'
import { MailWorker } from '../src/mail/worker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly mail: Mail
    /** Delivers the outbox; null when mail is not available. */
    readonly mailWorker: MailWorker | null
    /** The transport of development without SMTP_URL; otherwise null. */
    readonly mailbox: LocalMailbox | null
    /** Whether login requires a verified address. */
    readonly verificationRequired: boolean
  }
}

interface MailOptions {
  readonly smtp: SmtpServer | undefined
  /** The name in EHLO. */
  readonly helo?: string | undefined
  /** Whether to keep mail in memory without SMTP_URL. */
  readonly local: boolean
  readonly tokens: TokenPolicy
  readonly style: MailStyle
  readonly verificationRequired: boolean
}

const drainTimeoutMs = 5_000

export default fp<MailOptions>(
  async (app, { smtp, helo, local, tokens, style, verificationRequired }) => {
    const mailbox = !smtp && local ? new LocalMailbox(app.log) : null
    const transport = smtp ? await smtpTransportTo(smtp, helo) : mailbox
    const worker = transport && new MailWorker({ db: app.db, tokens, style, transport, log: app.log })
    app.decorate('mail', { available: worker !== null, tokens, wake: () => worker?.wake() })
    app.decorate('mailWorker', worker)
    app.decorate('mailbox', mailbox)
    app.decorate('verificationRequired', verificationRequired)

    app.onceDatabaseIsThere(async () => worker?.start())
    app.addHook('onClose', async () => worker?.stop(drainTimeoutMs))
  },
  { name: 'latchkey-mail', fastify: '5.x', dependencies: ['latchkey-database'] },
)

/** Loads the SMTP library only when used. */
async function smtpTransportTo(server: SmtpServer, helo: string | undefined): Promise<Transport> {
  const { smtpTransport } = await import('../src/mail/smtp.ts')
  return smtpTransport(server, helo)
}
