import { createHash, timingSafeEqual } from 'node:crypto'
import { TokenRefused } from '../tokens/refusal.ts'
import type { Service } from '../tokens/service.ts'

/** An entry of SERVICE_CLIENTS. */
export interface ServiceClient extends Service {
  /** Hex SHA-256 of the secrets that are accepted: two while one is replaced. */
  readonly secretSha256: readonly string[]
}

/** Of no secret that is known: an unknown client is compared with it. */
const nobody = Buffer.alloc(32)

/** The service clients of the configuration. */
export class ServiceClients {
  readonly #clients: ReadonlyMap<string, { service: Service; digests: readonly [Buffer, Buffer] }>

  constructor(clients: readonly ServiceClient[]) {
    this.#clients = new Map(
      clients.map(({ id, scopes, secretSha256: [first = '', second = first] }) => [
        id,
        { service: { id, scopes }, digests: [Buffer.from(first, 'hex'), Buffer.from(second, 'hex')] },
      ]),
    )
  }

  /**
   * Verifies a client's secret in constant time: an unknown id costs what a wrong secret costs. A hash without a salt
   * or a work factor is enough for 256 random bits.
   */
  verify(id: string, secret: string): Service | undefined {
    const digest = createHash('sha256').update(secret).digest()
    const known = this.#clients.get(id)
    const [first, second] = known?.digests ?? [nobody, nobody]
    const matches = [timingSafeEqual(digest, first), timingSafeEqual(digest, second)]
    return matches.includes(true) ? known?.service : undefined
  }

  /**
   * A token outlives a change of the configuration: neither its client nor one of its scopes may have been removed.
   * @throws TokenRefused revoked
   */
  assertCurrent({ id, scopes }: Service): void {
    const known = this.#clients.get(id)?.service.scopes
    if (!known || !scopes.every((scope) => known.includes(scope))) throw new TokenRefused('revoked')
  }
}
