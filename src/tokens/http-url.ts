const pathCharacter = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"

const form = new RegExp(
  `^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::\\d{1,5})?((?:/${pathCharacter}*)*)(\\?(?:${pathCharacter}|[/?])*)?$`,
)

/**
 * Whether a text is an http(s) URL by RFC 3986, without credentials and fragment. The URL class alone accepts what
 * other parsers refuse (white space, backslashes, missing slashes, numeric hosts), and some of these texts, such as
 * `iss`, are compared as strings.
 */
export function isHttpUrl(text: string, { query = false } = {}): boolean {
  const [, host = '', path = '', search] = form.exec(text) ?? []
  if (host === '' || (search !== undefined && !query) || !URL.canParse(text)) return false
  const { hostname, pathname } = new URL(text)
  return (host.startsWith('[') || hostname === host.toLowerCase()) && pathname === (path || '/')
}

/** Whether a text that is compared as a string has no invisible characters. */
export function isPlainText(text: string): boolean {
  return text !== '' && text.trim() === text && !/\p{Cc}/u.test(text)
}
