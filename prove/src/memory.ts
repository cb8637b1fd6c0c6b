import type { Values } from './calls.ts'
import { parametersOf } from './operations.ts'

export interface User {
  readonly label: 'A' | 'B'
  readonly id: string
  readonly token: string
}

/** Something that this run has made. */
export interface Made {
  readonly user: User
  /** The template of its path. */
  readonly item: string
  readonly values: Values
  /** The path is where it was made, since it has none of its own. */
  readonly isCollection?: boolean
}

/** What each user has created, and the texts in it that occur nowhere else. */
export class Memory {
  readonly made: Made[] = []
  readonly #markers = { A: new Set<string>(), B: new Set<string>() }

  mark(user: User, marker: string): void {
    this.#markers[user.label].add(marker)
  }

  /** Whether a text has something in it that only this user has written, or was given; the ids of the request do not count. */
  shows(user: User, text: string, sent: Values): boolean {
    const ids = new Set(sent.values())
    return [...this.#markers[user.label]].some((marker) => !ids.has(marker) && text.includes(marker))
  }

  /** @param item template of the path, whose last parameter the id is */
  remember(user: User, item: string, parents: Values, id: string): void {
    const [name = ''] = parametersOf(item).slice(-1)
    const values = new Map(parametersOf(item).map((each) => [each, parents.get(each) ?? '']))
    this.made.push({ user, item, values: values.set(name, id) })
    // Long enough to be unique.
    if (id.length >= 12) this.mark(user, id)
  }
}
