/** Secrets of at least 32 bytes from public tutorials, READMEs and cracking lists. */
const published = new Set([
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7',
  'a-string-secret-at-least-256-bits-long',
  'better-auth-secret-12345678901234567890',
  'better-auth-secret-123456789012345678901234567890',
  'super-secret-jwt-token-with-at-least-32-characters-long',
  'ThisIsASecretKeyForJwtTokenGeneration',
  'your-256-bit-secret-your-256-bit-secret',
  '0123456789abcdef0123456789abcdef',
  '00000000000000000000000000000000',
  'abcdefghijklmnopqrstuvwxyz123456',
  'abcdefghijklmnopqrstuvwxyz0123456789',
  '12345678901234567890123456789012',
  '404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970',
  '5367566B59703373367639792F423F4528482B4D6251655468576D5A71347437',
  'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
])

/** Placeholders of example files. */
const placeholder =
  /change[-_ ]?(me|this|it|in)|replace[-_ ]?(me|this|with)|(your|example)[-_ ]?(own[-_ ]?)?(super[-_ ]?)?(jwt|secret|256|key|signing)/i

/**
 * Why a text cannot be an HMAC secret; undefined when it can. RFC 7518 section 3.2 requires as many bytes as the hash
 * has; with a PEM or JWK, a public key could sign HS256 (algorithm confusion, RFC 8725 section 2.1).
 */
export function secretWeakness(secret: string): string | undefined {
  const trimmed = secret.trim()
  if (trimmed === '') return 'must not be empty'
  if (Buffer.byteLength(trimmed) < 32) return 'must be at least 32 bytes; `openssl rand -base64 32` makes one'
  if (/-----BEGIN |^ssh-/.test(trimmed)) return 'must be a random text, not a PEM or SSH key'
  if (trimmed.startsWith('{') || trimmed.startsWith('[')) return 'must be a random text, not a JWK'
  if (published.has(trimmed) || placeholder.test(trimmed)) {
    return 'must not be a published example; `openssl rand -base64 32` makes one'
  }
  // Trimmed here, it would differ from the key of a service that shares it and does not trim.
  if (trimmed !== secret) return 'must not begin or end with white space, such as the line break of a file'
  return undefined
}
