/** Milliseconds for the whole answer. */
const timeout = 2_000

const maxBytes = 256 * 1024
const maxKeys = 100

/**
 * Reads a JWKS (RFC 7517 section 5) from the URL that was configured, and from nowhere that it points to.
 * @returns its keys as they are
 * @throws Error that says what was wrong with the answer, with nothing of it
 */
export async function fetchJwks(url: string): Promise<readonly unknown[]> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal: AbortSignal.timeout(timeout),
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
