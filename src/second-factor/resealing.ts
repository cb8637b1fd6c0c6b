import type { Db } from '../db/schema.ts'
import { listSealedByAnother, reseal } from './repository.ts'
import { type FactorKeys, keyName, sealSecret, unsealSecret } from './sealed-secret.ts'

const batchSize = 500

/**
 * Encrypts under SECRET_KEY what is encrypted under SECRET_KEY_PREVIOUS, so that the previous secret can be removed
 * without losing the factors of those who did not log in meanwhile.
 * @returns how many neither secret decrypts
 */
export async function resealFactors(db: Db, keys: FactorKeys): Promise<number> {
  let lost = 0
  for (let after = '', more = true; more; ) {
    const rows = await listSealedByAnother(db, { keyName: keyName(keys.current), after, limit: batchSize })
    for (const { user_id, secret } of rows) {
      const opened = unsealSecret(keys, { secret }, user_id)
      if (opened) await reseal(db, user_id, secret, sealSecret(keys, opened, user_id))
      else lost++
    }
    after = rows.at(-1)?.user_id ?? after
    more = rows.length === batchSize
  }
  return lost
}
