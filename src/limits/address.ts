import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * The key of a client: an IPv4 address, IPv4-mapped IPv6 included (RFC 4291 section 2.5.5.2), or the /64 of an IPv6 one,
 * the least that one customer has (RFC 6177). All spellings of an address have one key, and so have all invalid ones.
 */
export function clientKey(address: string): string {
  if (isIPv4(address)) return address
  if (!ipaddr.IPv6.isValid(address)) return 'unknown'
  const parsed = ipaddr.IPv6.parse(address)
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString()
  const groups = parsed.parts.slice(0, 4).map((group) => group.toString(16))
  return `${groups.join(':')}::/64`
}

/**
 * The network of a {@link clientKey}, about as many addresses as one attacker can have: IPv4 /16, IPv6 /32. Any other key
 * is returned unchanged.
 */
export function networkOf(key: string): string {
  return /^(\d+\.\d+\.)\d+\.\d+$|^([0-9a-f]+:[0-9a-f]+:).*::\/64$/.exec(key)?.slice(1).join('') || key
}
