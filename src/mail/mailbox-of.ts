import type { CanonicalEmail } from '../users/email.ts'

/** How a provider writes one mailbox in several ways. Where nothing is known, only what follows a `+` is a tag. */
interface Provider {
  readonly domains: readonly string[]
  /** Characters of the local part that it ignores. */
  readonly ignored?: RegExp
  /** What follows it is a tag, besides what follows a `+`. */
  readonly tagMark?: string
  /** `anything@bob.domain` is `bob@domain`. */
  readonly subdomains?: true
}

const yahoo = ['yahoo.com', 'yahoo.co.uk', 'yahoo.co.in', 'yahoo.de', 'yahoo.es', 'yahoo.fr', 'yahoo.it']

const providers: readonly Provider[] = [
  { domains: ['gmail.com', 'googlemail.com'], ignored: /\./g },
  { domains: ['proton.me', 'protonmail.com', 'protonmail.ch', 'pm.me'], ignored: /[._-]/g },
  ...[...yahoo, 'ymail.com', 'rocketmail.com'].map((domain) => ({ domains: [domain], tagMark: '-' })),
  { domains: ['fastmail.com'], subdomains: true },
  { domains: ['fastmail.fm'], subdomains: true },
]

const providerOf = new Map(providers.flatMap((each) => each.domains.map((domain) => [domain, each] as const)))

/**
 * The mailbox that an address is likely to end in: without its tag (`bob+1@`), and in the one form of a provider that
 * knows several. Addresses that share one are accounts of their own all the same; only what is mailed on a stranger's
 * word is counted by it.
 */
export function mailboxOf(address: CanonicalEmail): string {
  const at = address.lastIndexOf('@')
  const [local, domain] = withoutSubdomain(address.slice(0, at), address.slice(at + 1))
  const { domains, ignored, tagMark } = providerOf.get(domain) ?? { domains: [domain] }
  const untagged = cut(cut(local, '+'), tagMark)
  return `${ignored ? untagged.replaceAll(ignored, '') : untagged}@${domains[0]}`
}

/** Whether an address is the one of its mailbox that has no tag. */
export function isPlain(address: string): boolean {
  return mailboxOf(address as CanonicalEmail) === address
}

function withoutSubdomain(local: string, domain: string): readonly [string, string] {
  const dot = domain.indexOf('.')
  const parent = domain.slice(dot + 1)
  return providerOf.get(parent)?.subdomains ? [domain.slice(0, dot), parent] : [local, domain]
}

/** A tag that is all there is, is none. */
function cut(local: string, mark: string | undefined): string {
  const end = mark === undefined ? -1 : local.indexOf(mark)
  return end > 0 ? local.slice(0, end) : local
}
