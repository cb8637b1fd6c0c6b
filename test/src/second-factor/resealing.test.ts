import { randomBytes } from 'node:crypto'
import t from 'tap'
import { findFactor, putOwnedSetup } from '../../../src/second-factor/repository.ts'
import { resealFactors } from '../../../src/second-factor/resealing.ts'
import { factorKeys, sealSecret, unsealSecret } from '../../../src/second-factor/sealed-secret.ts'
import type { OwnerId } from '../../../src/tokens/owner.ts'
import { migratedDatabase } from '../../helper.ts'

t.test('after a rotation, every factor is encrypted under the new secret', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const before = factorKeys('the first secret', undefined)
  const during = factorKeys('the second secret', 'the first secret')
  const after = factorKeys('the second secret', undefined)
  const stranger = factorKeys('a secret that nobody has any more', undefined)

  const ids = ['ann', 'ben', 'cem']
  await db
    .insertInto('users')
    .values(ids.map((id) => ({ id, email: `${id}@example.com`, name: id, password_hash: null })))
    .execute()
  const secret = randomBytes(20)
  const [first = '', lost = ''] = ids
  const batchSize = 2
  for (const id of ids)
    await putOwnedSetup(db, id as OwnerId, sealSecret(id === lost ? stranger : before, secret, id))

  t.equal(await resealFactors(db, during, batchSize), 1, 'one that neither secret opens')
  t.equal(await resealFactors(db, during, batchSize), 1, 'which is left as it is')
  for (const id of [first, ids.at(-1) ?? '']) {
    const row = await findFactor(db, id)
    t.same(row && unsealSecret(after, row, id), secret, id)
    t.equal(row && unsealSecret(before, row, id), undefined)
    t.equal(row && unsealSecret(after, row, lost), undefined, 'a row of one user is no other’s')
  }
})
