import { createTransport, type NodemailerError } from 'nodemailer'
import { emailPattern } from '../users/email.ts'
import type { OutgoingMail } from './compose.ts'
import type { SmtpServer } from './settings.ts'
import { DeliveryError, type Transport } from './transport.ts'

/** Connections to the mail server, and so mails under way at a time. */
export const smtpConnections = 5

/** Milliseconds for all of one delivery: a server that trickles its answers keeps no mail for longer. */
const deliveryTimeout = 60_000

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

const addressForm = new RegExp(emailPattern)

/**
 * Hands mail to a mail server over SMTP (RFC 5321). Its certificate is verified wherever TLS is spoken.
 * @param helo what to call ourselves in EHLO; the host's name unless given
 */
export function smtpTransport({ host, port, secure, auth }: SmtpServer, helo?: string): Transport {
  const transporter = createTransport({
    pool: true,
    host,
    port,
    secure,
    ...(helo === undefined ? {} : { name: helo }),
    // A password goes over TLS or not at all. Without one, STARTTLS where it is offered.
    requireTLS: auth !== undefined && !isLoopback(host),
    ...(auth ? { auth } : {}),
    maxConnections: smtpConnections,
    // A mail whose connection broke goes back to the outbox, which knows what became of it.
    maxRequeues: 0,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    // A message is made of strings only; nothing in it may name a file or an address to read.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send(mail) {
      // The library would make some address of it; the outbox holds no such one.
      if (!addressForm.test(mail.to)) throw new DeliveryError('address', true)
      try {
        await transporter.sendMail({ ...messageOf(mail), signal: AbortSignal.timeout(deliveryTimeout) })
      } catch (error) {
        throw deliveryError(error)
      }
    },
    close: () => transporter.close({ force: true }),
  }
}

function messageOf({ from, to, subject, text, html, messageId }: OutgoingMail) {
  return {
    // The library writes into what it is given.
    from: { ...from },
    to: { name: '', address: to },
    // Not read from the headers: one mail, one recipient.
    envelope: { from: from.address, to: [to] },
    subject,
    text,
    html,
    messageId,
    // RFC 3834: nobody's holiday reply should answer.
    headers: { 'Auto-Submitted': 'auto-generated' },
  }
}

/** The class of a failure and no more: a server's words may hold the address, or the link that it refused. */
function deliveryError(error: unknown): DeliveryError {
  const { code = 'unknown', originalCode, responseCode, command, permanent } = error as NodemailerError
  const parts = [code, originalCode, responseCode, command].filter((part) => part !== undefined)
  // Any other refusal may be of this installation, which its operator can mend.
  return new DeliveryError(parts.join(' '), permanent === true && command === 'RCPT TO')
}
