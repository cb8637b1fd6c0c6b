/** Letters, and what joins them: no digit, no dot within a word, nothing that a mail client makes a link of. */
const plain = /^\p{L}[\p{L}\p{M}]*(?:(?:[ '’-]|\. )\p{L}[\p{L}\p{M}]*)*\.?$/u

/** Code points; a longer one is a sentence. */
const longest = 40

interface Named {
  readonly name: string
  /** The address at which its proven owner chose the name. */
  readonly named_by: string | null
}

/**
 * The name that a mail greets by; empty for none. Anybody can sign up with anybody's address and a name of their
 * choice, so only the name counts that the owner of this very address has chosen since proving it; and none that could
 * be read as a link or a number, since others may have been in the account.
 */
export function greetedName(account: Named | undefined, recipient: string): string {
  if (!account || account.named_by !== recipient) return ''
  const { name } = account
  return [...name].length <= longest && plain.test(name) && !/^www\b/i.test(name) ? name : ''
}
