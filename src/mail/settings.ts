import { isIP } from 'node:net'

/** Parsed SMTP_URL. */
export interface SmtpServer {
  readonly host: string
  readonly port: number
  /** Implicit TLS. Otherwise STARTTLS, if the server offers it. */
  readonly secure: boolean
  readonly auth: { readonly user: string; readonly pass: string } | undefined
}

export interface MailAddress {
  /** Empty when only an address was given. */
  readonly name: string
  readonly address: string
}

const hostForm = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$/

const ports: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 }

/** Reads `smtp[s]://[user:password@]host[:port]`. A query is refused: it could disable certificate verification. */
export function parseSmtpUrl(text: string): SmtpServer | undefined {
  // The URL class drops tabs and line breaks, and encodes spaces.
  if (!/^smtps?:\/\/[^\s\p{Cc}]+$/u.test(text) || !URL.canParse(text)) return undefined
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  const usual = ports[protocol]
  if (usual === undefined || !hostForm.test(hostname) || !['', '/'].includes(pathname) || search || hash)
    return undefined
  try {
    const auth = { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
    return {
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? usual : Number(port),
      secure: protocol === 'smtps:',
      auth: username === '' ? undefined : auth,
    }
  } catch {
    return undefined
  }
}

const address = "[A-Za-z0-9.!#$%&'*+/=?^_{}~-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)*"
const form = new RegExp(`^(?:"?([^"<>\\u0000-\\u001f\\u007f]*?)"? *<(${address})>|(${address}))$`)

/** Reads `address` or `Name <address>`. */
export function parseMailFrom(text: string): MailAddress | undefined {
  const [, name = '', named, bare] = form.exec(text.trim()) ?? []
  const found = named ?? bare
  return found === undefined ? undefined : { name: name.trim(), address: found }
}

const label = '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
const hostName = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`)

/** Whether a text is valid in EHLO: a host name or an address literal, RFC 5321 section 4.1.2. */
export function isHeloName(text: string): boolean {
  const [, v6, literal] = /^\[(IPv6:)?(.+)\]$/.exec(text) ?? []
  if (literal !== undefined) return isIP(literal) === (v6 === undefined ? 4 : 6)
  return hostName.test(text) && isIP(text) === 0
}

/**
 * The default name for EHLO. Mail servers refuse one without a dot, such as a container's host name.
 * @returns undefined to leave the name to the library
 */
export function heloName(urls: readonly string[], { address }: MailAddress): string | undefined {
  const hosts = urls.filter((url) => URL.canParse(url)).map((url) => new URL(url).hostname)
  return [...hosts, address.split('@').at(-1) ?? ''].find(
    (host) => isHeloName(host) && host.includes('.') && !host.endsWith('.localhost'),
  )
}
