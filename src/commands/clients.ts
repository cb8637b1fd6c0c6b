import { createHash, randomBytes } from 'node:crypto'
import { ConfigError } from '../config/environment.ts'
import { readServiceClients } from '../config/service-clients.ts'

/**
 * A new 256-bit secret, which is kept nowhere, and the entry of SERVICE_CLIENTS that accepts it.
 * @throws ConfigError for an id or scope that the configuration would refuse
 */
export function newClient([id, ...scopes]: readonly string[]): { secret: string; entry: string } {
  const secret = randomBytes(32).toString('base64url')
  const digest = createHash('sha256').update(secret).digest('hex')
  const entry = JSON.stringify({ id, secret_sha256: digest, scopes })
  const { faults } = readServiceClients(`[${entry}]`)
  if (faults.length > 0)
    throw new ConfigError(faults.join('\n').replaceAll('SERVICE_CLIENTS[0].', 'clients new: '))
  return { secret, entry }
}

/** The command `clients new <id> [scope ...]`. */
export function runNewClient(args: readonly string[]): void {
  const { secret, entry } = newClient(args)
  process.stdout.write(`secret  ${secret}\nentry   ${entry}\n`)
  process.stderr.write(
    'latchkey: the secret is not shown again: give it to the client, and add the entry to the list in SERVICE_CLIENTS\n',
  )
}
