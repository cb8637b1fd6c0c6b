/** For the whole response. */
const timeoutMs = 2_000

const maxBytes = 256 * 1024
const maxKeys = 100

/**
 * Fetches a JWKS (RFC 7517 section 5) from the configured URL, without redirects (SSRF).
 * @returns its keys, not validated
 * @throws Error whose message describes the response and quotes nothing of it
 */
export async function fetchJwks(url: string): Promise<readonly unknown[]> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(timeoutMs),
  })
  const type = response.headers.get('content-type') ?? ''
  if (!response.ok || !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    await response.body?.cancel()
    throw new Error(response.ok ? 'the answer is not JSON' : `the answer is ${response.status}`)
  }
  const { keys } = parse(await readBounded(response))
  if (!Array.isArray(keys) || keys.length > maxKeys) throw new Error('the answer is not a JWKS')
  return keys
}

async function readBounded({ body }: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parse(bytes: Buffer): { keys?: unknown } {
  try {
    return JSON.parse(bytes.toString()) ?? {}
  } catch {
    throw new Error('the answer is not JSON')
  }
}
