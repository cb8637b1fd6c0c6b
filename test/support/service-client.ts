import { createHash } from 'node:crypto'

/** The secret of every client below. */
export const clientSecret = 'uW5mB0Zk7cN2vQx9rT4yH6jL8pS1dF3gA0eXzCiVbMo'

export const digestOf = (secret: string) => createHash('sha256').update(secret).digest('hex')

/** SERVICE_CLIENTS with clients of these scopes. */
export function serviceClients(clients: Readonly<Record<string, readonly string[]>>): {
  SERVICE_CLIENTS: string
} {
  const entries = Object.entries(clients).map(([id, scopes]) => ({
    id,
    secret_sha256: digestOf(clientSecret),
    scopes,
  }))
  return { SERVICE_CLIENTS: JSON.stringify(entries) }
}

/** An Authorization header of HTTP Basic, both parts form-urlencoded (RFC 6749 section 2.3.1). */
export function basic(id: string, secret = clientSecret): string {
  const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}
