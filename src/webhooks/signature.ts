import { createHmac } from 'node:crypto'

const prefix = 'whsec_'

/**
 * The key in a secret of Standard Webhooks: `whsec_` and canonical base64, which every receiver's library decodes to the
 * same bytes.
 * @returns undefined when it is malformed, or has less than 24 or more than 64 bytes
 */
export function parseWebhookSecret(text: string): Buffer | undefined {
  if (!text.startsWith(prefix)) return undefined
  const encoded = text.slice(prefix.length)
  const key = Buffer.from(encoded, 'base64')
  return key.toString('base64') === encoded && key.length >= 24 && key.length <= 64 ? key : undefined
}

/**
 * The headers that Standard Webhooks 1.0 asks for.
 * @param timestamp of this attempt, in seconds since the epoch
 * @param keys each signs, so that a receiver may have either during a rotation
 */
export function signedHeaders(id: string, timestamp: number, body: string, keys: readonly Buffer[]) {
  const sign = (key: Buffer) =>
    createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': `${timestamp}`,
    'webhook-signature': keys.map((key) => `v1,${sign(key)}`).join(' '),
  }
}
