import { randomBytes, randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ensurePrivate, ensurePrivateFolder } from '../private-folder.ts'

/** Secrets of at least 32 bytes that stand in public tutorials, READMEs and cracking lists. */
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

/** What example files write where a secret belongs. */
const placeholder =
  /change[-_ ]?(me|this|it|in)|replace[-_ ]?(me|this|with)|(your|example)[-_ ]?(own[-_ ]?)?(super[-_ ]?)?(jwt|secret|256|key|signing)/i

/**
 * Why a text cannot be an HMAC secret, or undefined when it can. RFC 7518 section 3.2 asks for at least as
 * many bytes as the hash has; a PEM or JWK here is how HS256 gets signed with a public key (RFC 8725 section 2.1).
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
  // Trimmed here, it would no longer be the key of who shares it and does not trim.
  if (trimmed !== secret) return 'must not begin or end with white space, such as the line break of a file'
  return undefined
}

/** The secret in the data folder cannot be used. The message names variable and file, never the value. */
export class KeptSecretUnusable extends Error {
  override name = 'KeptSecretUnusable'
}

/**
 * Reads the development secret kept in the data folder, making it on the first start. One that is weak or empty is
 * refused and not replaced: what was signed with it may still be in use, and what emptied it may be undone.
 * @throws KeptSecretUnusable, DataFolderUnusable
 */
export function developmentSecret(dataDir: string): string {
  ensurePrivateFolder(dataDir)
  const file = join(dataDir, 'secret_key')
  ensurePrivate(dataDir, file)
  if (!existsSync(file)) keepSecret(dataDir, file, randomBytes(32).toString('base64url'))
  const secret = readFileSync(file, 'utf8').trim()
  const weakness = secretWeakness(secret)
  if (weakness === undefined) return secret
  throw new KeptSecretUnusable(
    `SECRET_KEY, kept in DATA_DIR as ${file}, ${weakness}; restore the file from a copy, or delete it for a new secret, with which every session ends`,
  )
}

/** Writes the file whole or not at all, whenever the process ends, and leaves one that another process has made. */
function keepSecret(dataDir: string, file: string, secret: string): void {
  const unfinished = `${file}.${randomUUID()}.tmp`
  writeFileSync(unfinished, secret, { flag: 'wx', mode: 0o600, flush: true })
  try {
    linkSync(unfinished, file)
    unlinkSync(unfinished)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Not every file system has links.
    if (code === 'EEXIST') unlinkSync(unfinished)
    else renameSync(unfinished, file)
  }
  // Windows opens no folder.
  if (process.platform !== 'win32') sync(dataDir)
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
