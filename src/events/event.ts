import { TypeID } from 'typeid-js'

/** An event as readers and receivers see it: no address, no name. */
export interface PublishedEvent {
  /** The same however often it comes. */
  readonly id: string
  readonly type: string
  /** RFC 3339. */
  readonly at: string
  readonly user_id: string | null
}

/** The id on the wire of an event's `uid`. */
export function eventId(uid: string): string {
  return TypeID.fromUUID('event', uid).toString()
}
