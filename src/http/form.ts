import { isUtf8 } from 'node:buffer'

export const formType = 'application/x-www-form-urlencoded'

/** A form that has more than one reading. The message contains nothing of it. */
export class FormRefused extends Error {
  override name = 'FormRefused'
}

/**
 * Decodes a name or value of `application/x-www-form-urlencoded`.
 * @returns undefined for a malformed percent-encoding, or one that is not UTF-8
 */
export function decodeFormText(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

/**
 * Parses a form as RFC 6749 section 3.2 has it: a parameter without a value is absent, and a repeated one is an error.
 * @throws FormRefused
 */
export function parseForm(body: Buffer): Readonly<Record<string, string>> {
  if (!isUtf8(body)) throw new FormRefused('not UTF-8')
  const values: Record<string, string> = Object.create(null)
  const seen = new Set<string>()
  for (const pair of body.toString().split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decodeFormText(equals === -1 ? pair : pair.slice(0, equals))
    const value = equals === -1 ? '' : decodeFormText(pair.slice(equals + 1))
    if (name === undefined || value === undefined) throw new FormRefused('percent-encoding')
    if (seen.has(name)) throw new FormRefused('repeated parameter')
    seen.add(name)
    if (value !== '') values[name] = value
  }
  return values
}
