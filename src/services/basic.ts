import { decodeFormText } from '../http/form.ts'

export interface Credentials {
  readonly id: string
  readonly secret: string
}

/** `basic-credentials` (RFC 7617 section 2), the scheme in any case. */
const pattern = /^basic +([A-Za-z0-9+/]+={0,2})$/i

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whether an Authorization header has the Basic scheme, well-formed or not. */
export function isBasic(header: string): boolean {
  return /^basic(?: |$)/i.test(header)
}

/**
 * Client id and secret of an Authorization header, both form-urlencoded (RFC 6749 section 2.3.1).
 * @returns undefined when it is malformed
 */
export function parseBasic(header: string): Credentials | undefined {
  const encoded = pattern.exec(header)?.[1] ?? ''
  const bytes = Buffer.from(encoded, 'base64')
  if (encoded === '' || bytes.toString('base64') !== encoded) return undefined
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return undefined
  }
  const colon = text.indexOf(':')
  const [id, secret] = [decodeFormText(text.slice(0, colon)), decodeFormText(text.slice(colon + 1))]
  return colon === -1 || id === undefined || secret === undefined ? undefined : { id, secret }
}
