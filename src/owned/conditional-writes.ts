import type { Db } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { Values, VersionedItem } from './item.ts'
import type { Resource } from './resource.ts'

/**
 * Changes an item if the preconditions hold.
 * @throws Problem note_not_found, precondition_failed
 */
export async function changeItem(
  resource: Resource,
  db: Db,
  owner: OwnerId,
  id: number,
  changes: Values,
  preconditions: Preconditions,
): Promise<VersionedItem> {
  const changed = await resource.rows.updateOwned(db, owner, id, changes, preconditions)
  return changed ?? (await refuse(resource, db, owner, id))
}

/**
 * Deletes an item if the preconditions hold.
 * @throws Problem note_not_found, precondition_failed
 */
export async function removeItem(
  resource: Resource,
  db: Db,
  owner: OwnerId,
  id: number,
  preconditions: Preconditions,
): Promise<void> {
  if (!(await resource.rows.deleteOwned(db, owner, id, preconditions))) await refuse(resource, db, owner, id)
}

/** No row matched: the item does not exist, or a precondition failed. */
async function refuse({ rows, problems }: Resource, db: Db, owner: OwnerId, id: number): Promise<never> {
  throw new Problem((await rows.findOwned(db, owner, id)) ? 'precondition_failed' : problems.notFound)
}
