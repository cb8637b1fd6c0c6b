import { readFileSync } from 'node:fs'
import { DatabaseRefused } from './refusals.ts'

/**
 * The driver would throw for a missing file, and trust all of Node's CAs for an empty one.
 * @throws DatabaseRefused
 */
export function checkTlsFiles(url: string): void {
  const contents = {
    sslrootcert: /-----BEGIN (TRUSTED )?CERTIFICATE-----/,
    sslcert: /-----BEGIN (TRUSTED )?CERTIFICATE-----/,
    sslkey: /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  }
  const query = new URLSearchParams(url.replace(/^[^?]*\??/, ''))
  for (const [name, content] of Object.entries(contents)) {
    const path = query.get(name)
    if (path === null) continue
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      throw new DatabaseRefused(`the file of ${name} cannot be read: ${code}`, { cause })
    }
    if (!content.test(text)) throw new DatabaseRefused(`the file of ${name} contains no PEM`)
  }
}
