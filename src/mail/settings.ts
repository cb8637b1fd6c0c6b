/** A mail server, from SMTP_URL. */
export interface SmtpServer {
  readonly host: string
  readonly port: number
  /** TLS from the first byte. Otherwise STARTTLS, where the server offers it. */
  readonly secure: boolean
  readonly auth: { readonly user: string; readonly pass: string } | undefined
}

export interface MailAddress {
  /** Empty where only an address was given. */
  readonly name: string
  readonly address: string
}

const ports: Readonly<Record<string, number>> = { 'smtp:': 587, 'smtps:': 465 }

/** Reads `smtp[s]://[user:password@]host[:port]`. A query is refused: it could turn off the check of certificates. */
export function parseSmtpUrl(text: string): SmtpServer | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  const usual = ports[protocol]
  if (usual === undefined || hostname === '' || !['', '/'].includes(pathname) || search || hash)
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
