/** The result expected of every client. */
export interface Outcome {
  readonly name: string
  readonly title: string
  /** Of the tasks that a call with an API key lists. */
  readonly byKey: readonly string[]
  /** Response to a request for another user's tasks. */
  readonly refused: { readonly status: number; readonly code: string }
}

export interface Wanted {
  /** URL of the service. */
  readonly url: string
  readonly email: string
}

export const password = 'correct horse battery'
export const wantedKey = { name: 'Script', scopes: ['tasks:read'], expires_in_days: 1 }
export const stranger = 'different_user'

export function unexpected(call: string, answer: unknown): Error {
  return new Error(`${call}: ${JSON.stringify(answer)}`)
}
