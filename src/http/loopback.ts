import ipaddr from 'ipaddr.js'

/** Whether an address is a loopback address, in any of its spellings. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined || !ipaddr.isValid(address)) return false
  return ipaddr.process(address).range() === 'loopback'
}
