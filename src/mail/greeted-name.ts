/** Letters and joining characters: nothing that a mail client would turn into a link. */
const plain = /^\p{L}[\p{L}\p{M}]*(?:(?:[ '’-]|\. )\p{L}[\p{L}\p{M}]*)*\.?$/u

/** Code points. */
const longest = 40

interface Named {
  readonly name: string
  /** The verified address whose owner chose the name. */
  readonly named_by: string | null
}

/**
 * The name in the greeting; empty for none. Anyone can sign up with a victim's address and a name of their choice
 * (content injection), so only a name counts that the owner chose after verifying this address, and none that reads
 * like a link or a number.
 */
export function greetedName(account: Named | undefined, recipient: string): string {
  if (!account || account.named_by !== recipient) return ''
  const { name } = account
  return [...name].length <= longest && plain.test(name) && !/^www\b/i.test(name) ? name : ''
}
