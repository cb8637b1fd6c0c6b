import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * What counts as one client: an IPv4 address, also where it is written as an IPv6 one (RFC 4291 section 2.5.5.2),
 * and of IPv6 the /64, since that is what one customer gets at the least (RFC 6177). All texts of one address give
 * one key; all that is no address gives one key too.
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
 * The network of a {@link clientKey}, about as much as one party can fill with addresses of its own: IPv4 /16, IPv6
 * /32. Any other key is its own.
 */
export function networkOf(key: string): string {
  return /^(\d+\.\d+\.)\d+\.\d+$|^([0-9a-f]+:[0-9a-f]+:).*::\/64$/.exec(key)?.slice(1).join('') || key
}
