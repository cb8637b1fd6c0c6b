import ipaddr from 'ipaddr.js'

/** Whether an address is one that only this machine reaches, in any of its spellings. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined || !ipaddr.isValid(address)) return false
  return ipaddr.process(address).range() === 'loopback'
}
