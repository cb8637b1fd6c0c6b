import { securityEventNames } from '../audit.ts'

/** What an event can be: a change of a user's row, or a security event. The names are stable. */
export const eventTypes = ['user.created', 'user.updated', 'user.deleted', ...securityEventNames] as const

export type EventType = (typeof eventTypes)[number]

export function isEventType(text: string): text is EventType {
  return (eventTypes as readonly string[]).includes(text)
}
