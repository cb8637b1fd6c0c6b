const pathCharacter = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"

const form = new RegExp(
  `^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::\\d{1,5})?((?:/${pathCharacter}*)*)(\\?(?:${pathCharacter}|[/?])*)?$`,
)

/**
 * Whether a text is an http(s) URL as RFC 3986 writes it, without credentials and fragment. The URL class alone forgives
 * what other parsers do not (white space, backslashes, missing slashes, numbers for an address), and some of these
 * texts are compared to the letter: the `iss` of a token is one.
 */
export function isHttpUrl(text: string, { query = false } = {}): boolean {
  const [, host = '', path = '', search] = form.exec(text) ?? []
  if (host === '' || (search !== undefined && !query) || !URL.canParse(text)) return false
  const { hostname, pathname } = new URL(text)
  return (host.startsWith('[') || hostname === host.toLowerCase()) && pathname === (path || '/')
}

/** Whether a text that is compared to the letter has nothing in it that cannot be seen. */
export function isPlainText(text: string): boolean {
  return text !== '' && text.trim() === text && !/\p{Cc}/u.test(text)
}
