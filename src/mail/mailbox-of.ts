import type { CanonicalEmail } from '../accounts/email.ts'

/**
 * The mailbox that an address is likely to end in: without its tag (`bob+1@`) and its dots. Addresses that share one
 * are accounts of their own all the same; only what is mailed on a stranger's word is counted by it.
 */
export function mailboxOf(address: CanonicalEmail): string {
  const at = address.lastIndexOf('@')
  const local = address.slice(0, at).replace(/\+.*$/, '').replaceAll('.', '')
  return local + address.slice(at)
}
