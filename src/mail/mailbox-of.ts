import type { CanonicalEmail } from '../users/email.ts'

/** A provider's aliases of one mailbox. For an unknown provider, only `+tag` is one. */
interface Provider {
  readonly domains: readonly string[]
  /** Character of the local part that it ignores. */
  readonly ignored?: RegExp
  /** Separator of a tag, besides `+`. */
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
 * The mailbox that an address probably delivers to, without tag (`bob+1@`) and aliases. Only quotas of mail use it:
 * addresses of one mailbox remain separate accounts.
 */
export function mailboxOf(address: CanonicalEmail): string {
  const at = address.lastIndexOf('@')
  const [local, domain] = withoutSubdomain(address.slice(0, at), address.slice(at + 1))
  const { domains, ignored, tagMark } = providerOf.get(domain) ?? { domains: [domain] }
  const untagged = cut(cut(local, '+'), tagMark)
  return `${ignored ? untagged.replaceAll(ignored, '') : untagged}@${domains[0]}`
}

/** Whether an address has no tag. */
export function isPlain(address: string): boolean {
  return mailboxOf(address as CanonicalEmail) === address
}

function withoutSubdomain(local: string, domain: string): readonly [string, string] {
  const dot = domain.indexOf('.')
  const parent = domain.slice(dot + 1)
  return providerOf.get(parent)?.subdomains ? [domain.slice(0, dot), parent] : [local, domain]
}

/** A local part that begins with the separator has no tag. */
function cut(local: string, mark: string | undefined): string {
  const end = mark === undefined ? -1 : local.indexOf(mark)
  return end > 0 ? local.slice(0, end) : local
}
