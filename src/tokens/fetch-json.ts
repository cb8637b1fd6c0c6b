const maxBytes = 256 * 1024

/**
 * Fetches JSON from a configured URL, without redirects (SSRF).
 * @param signal bounds the whole response in time
 * @returns the value, not validated
 * @throws Error whose message describes the response and quotes nothing of it
 */
export async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
    signal,
  })
  const type = response.headers.get('content-type') ?? ''
  if (!response.ok || !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    await response.body?.cancel()
    throw new Error(response.ok ? 'the answer is not JSON' : `the answer is ${response.status}`)
  }
  const bytes = await readBounded(response, maxBytes)
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw new Error('the answer is not JSON')
  }
}

/** @throws Error when the body is longer than `maxBytes` */
export async function readBounded({ body }: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
