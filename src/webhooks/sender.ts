import { signedHeaders } from './signature.ts'

/** For the headers of the answer. */
const defaultTimeoutMs = 10_000

/** The receiver did not accept an event. The message describes why, without the URL or what it answered. */
export class NotAccepted extends Error {
  override name = 'NotAccepted'
}

export interface Receiver {
  readonly url: string
  readonly keys: readonly Buffer[]
}

/**
 * Posts one event. Accepted is any 2xx; a redirect is not followed (SSRF), and the answer's body is not read.
 * @throws NotAccepted
 */
export async function postEvent(
  { url, keys }: Receiver,
  id: string,
  body: string,
  timeoutMs = defaultTimeoutMs,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'manual',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'latchkey',
      ...signedHeaders(id, Math.floor(Date.now() / 1000), body, keys),
    },
    body,
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((cause: unknown) => {
    throw new NotAccepted(reasonOf(cause, timeoutMs), { cause })
  })
  response.body?.cancel().catch(() => {})
  if (!response.ok) throw new NotAccepted(`the answer is ${response.status}`)
}

/** fetch has the error of the connection as its cause. */
function reasonOf(error: unknown, timeoutMs: number): string {
  const { name, cause } = error as Error
  if (name === 'TimeoutError') return `no answer in ${timeoutMs / 1000} s`
  const { code, name: kind = 'unknown' } = (cause ?? {}) as NodeJS.ErrnoException
  return `no connection (${code ?? kind})`
}
