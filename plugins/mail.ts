import fp from 'fastify-plugin'
import type { MailStyle } from '../src/mail/compose.ts'
import { LocalMailbox } from '../src/mail/local-mailbox.ts'
import type { Mail, TokenPolicy } from '../src/mail/mail.ts'
import type { SmtpServer } from '../src/mail/settings.ts'
import type { Transport } from '../src/mail/transport.ts'
import { MailWorker } from '../src/mail/worker.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether mail can leave, and what tells the worker that some is to. */
    readonly mail: Mail
    /** Delivers the outbox; null where nothing could send it. */
    readonly mailWorker: MailWorker | null
    /** Where mail goes without a mail server; null with one, and in production. */
    readonly mailbox: LocalMailbox | null
    /** Whether a login asks for an address that has been verified. */
    readonly verificationRequired: boolean
  }
}

interface MailOptions {
  readonly smtp: SmtpServer | undefined
  /** What to call ourselves to it. */
  readonly helo?: string | undefined
  /** Keeps mail in the process where no mail server is named. */
  readonly local: boolean
  readonly tokens: TokenPolicy
  readonly style: MailStyle
  readonly verificationRequired: boolean
}

/** Milliseconds that a stop waits for deliveries. */
const drainTimeout = 5_000

/** `app.mail`, and the worker behind it while the app runs. */
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
    app.addHook('onClose', async () => worker?.stop(drainTimeout))
  },
  { name: 'latchkey-mail', fastify: '5.x', dependencies: ['latchkey-database'] },
)

/** Loads the package that speaks SMTP only where it is to speak. */
async function smtpTransportTo(server: SmtpServer, helo: string | undefined): Promise<Transport> {
  const { smtpTransport } = await import('../src/mail/smtp.ts')
  return smtpTransport(server, helo)
}
