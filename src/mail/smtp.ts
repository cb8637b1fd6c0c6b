import { createTransport, type NodemailerError } from 'nodemailer'
import { emailPattern } from '../users/email.ts'
import type { OutgoingMail } from './compose.ts'
import type { SmtpServer } from './settings.ts'
import { DeliveryError, type Transport } from './transport.ts'

/** Connections to the mail server. */
export const smtpConnections = 5

/** Milliseconds for a whole delivery, against a server that trickles its replies. */
const deliveryTimeout = 60_000

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

const addressForm = new RegExp(emailPattern)

/**
 * Sends mail over SMTP (RFC 5321). Verifies the server's certificate whenever TLS is used.
 * @param helo the name in EHLO; default: the host's name
 */
export function smtpTransport({ host, port, secure, auth }: SmtpServer, helo?: string): Transport {
  const transporter = createTransport({
    pool: true,
    host,
    port,
    secure,
    ...(helo === undefined ? {} : { name: helo }),
    // With a password, TLS is required. Without, STARTTLS is opportunistic.
    requireTLS: auth !== undefined && !isLoopback(host),
    ...(auth ? { auth } : {}),
    maxConnections: smtpConnections,
    // No retries in the library: the outbox retries.
    maxRequeues: 0,
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
    // No attachments by file or URL (SSRF, file disclosure).
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send(mail) {
      // The library would rewrite an invalid address.
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
    // Copied: the library mutates its argument.
    from: { ...from },
    to: { name: '', address: to },
    // The envelope is explicit, not read from the headers: exactly one recipient.
    envelope: { from: from.address, to: [to] },
    subject,
    text,
    html,
    messageId,
    // RFC 3834: suppresses automatic replies.
    headers: { 'Auto-Submitted': 'auto-generated' },
  }
}

/** Only the class of a failure: the server's text may contain the recipient or the link. */
function deliveryError(error: unknown): DeliveryError {
  const { code = 'unknown', originalCode, responseCode, command, permanent } = error as NodemailerError
  const parts = [code, originalCode, responseCode, command].filter((part) => part !== undefined)
  // Any other refusal may be due to configuration, so it is retried.
  return new DeliveryError(parts.join(' '), permanent === true && command === 'RCPT TO')
}
