import { isProblem } from '../../../../client/src/problem.ts'
import { section } from './dom.ts'

/** Shows what has happened. */
export function say(text: string, kind: 'done' | 'refused' = 'done'): void {
  const message = section('message')
  message.textContent = text
  message.className = kind
  message.hidden = text === ''
}

/**
 * Shows the error of an answer, or the text when there is none. Only what the service says of the error is shown.
 * @returns whether there is none
 */
export function sayOf({ error }: { error?: unknown }, done: string): boolean {
  if (error === undefined) say(done)
  else if (isProblem(error)) {
    const fields = error.errors?.map(({ path, message }) => `${path}: ${message}`) ?? []
    say([`${error.detail} (${error.code})`, ...fields].join('; '), 'refused')
  } else say('The answer is not one of the service', 'refused')
  return error === undefined
}
