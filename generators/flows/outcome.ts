/** What every client must come to, in its own way. */
export interface Outcome {
  readonly name: string
  readonly title: string
  /** Of the tasks that a call with an API key lists. */
  readonly byKey: readonly string[]
  /** Of a call for another user's tasks. */
  readonly refused: { readonly status: number; readonly code: string }
}

export interface Wanted {
  /** Where the service is. */
  readonly url: string
  readonly email: string
}

export const password = 'correct horse battery'
export const wantedKey = { name: 'Script', scopes: ['tasks:read'], expires_in_days: 1 }
export const stranger = 'different_user'

/** Says which call did not answer what it should. */
export function unexpected(call: string, answer: unknown): Error {
  return new Error(`${call}: ${JSON.stringify(answer)}`)
}
