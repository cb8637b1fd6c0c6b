import { isIP } from 'node:net'

/** A bracketed IPv6 or an IPv4 address, with the port that some gateways append (RFC 7239 section 6). */
const withPort = /^(?:\[([^\]]+)\]|(.+?))(?::(?:\d{1,5}|_[\w.-]+))?$/

/**
 * The address in an entry of X-Forwarded-For, without quotes, brackets and port: Azure Application Gateway and IIS
 * append the port, which differs for each connection. An entry without an address is returned unchanged.
 */
export function forwardedAddress(entry: string): string {
  const text = entry.trim()
  if (isIP(text)) return text
  const unquoted = /^"(.*)"$/.exec(text)?.[1]?.trim() ?? text
  if (isIP(unquoted)) return unquoted
  const [, bracketed, plain = ''] = withPort.exec(unquoted) ?? []
  const address = bracketed ?? plain
  // Only IPv6 is written in brackets.
  return isIP(address) && (bracketed === undefined || isIP(address) === 6) ? address : text
}

/** {@link forwardedAddress} of each entry of the header. */
export function normalizeForwardedFor(header: string): string {
  return header.split(',').map(forwardedAddress).join(', ')
}
