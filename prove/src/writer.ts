import { type Content, candidatesFor, ownerFieldsOf, varied, withIds } from './bodies.ts'
import type { Calls, Values } from './calls.ts'
import type { Memory, User } from './memory.ts'
import { type Operation, parametersOf } from './operations.ts'
import { type Resolve, schemaOf } from './schema.ts'
import { type Answer, accepted } from './service.ts'

/** A body that was accepted, before its texts were varied. */
interface Recipe {
  readonly base: unknown
  readonly vary: boolean
}

interface Conditions {
  /** Fields that keep their values. */
  readonly current?: Readonly<Record<string, unknown>> | undefined
  readonly etag?: string | undefined
}

export interface Performed {
  readonly answer: Answer
  readonly content: Content
}

/** Finds bodies that the service accepts of an owner, and makes more of the same. */
export class Writer {
  readonly #calls: Calls
  readonly #memory: Memory
  readonly #resolve: Resolve
  readonly #ownerParam: string
  readonly #recipes = new Map<string, Recipe>()

  constructor(calls: Calls, memory: Memory, resolve: Resolve, ownerParam: string) {
    this.#calls = calls
    this.#memory = memory
    this.#resolve = resolve
    this.#ownerParam = ownerParam
  }

  /**
   * Sends an operation as its owner, with one body after the other until one is accepted. What the body has room for
   * is marked as this user's.
   */
  async perform(
    operation: Operation,
    user: User,
    values: Values,
    { current, etag }: Conditions = {},
  ): Promise<Performed> {
    const { body } = operation
    const send = (content: Content) =>
      this.#calls.send(operation, { values, token: user.token, content: content.value, etag })
    if (!body) {
      const content = { value: undefined, marker: null }
      return { answer: await send(content), content }
    }
    const known = this.#recipeOf(operation, user)
    let last: Performed | undefined
    for (const base of known ? [known.base] : candidatesFor(body, this.#resolve)) {
      const kept = withCurrent(base, current)
      for (const vary of known ? [known.vary] : [true, false]) {
        const content = this.#contentOf(operation, user, { base: kept, vary })
        if (vary && !known && JSON.stringify(content.value) === JSON.stringify(kept)) continue
        const answer = await send(content)
        last = { answer, content }
        if (accepted(answer)) {
          this.#recipes.set(`${operation.name} ${user.label}`, { base: kept, vary })
          if (content.marker !== null) this.#memory.mark(user, content.marker)
          return last
        }
        // Only what is about the body can be mended by another one.
        if (![400, 409, 413, 415, 422, 500].includes(answer.status)) return last
      }
    }
    return (
      last ?? {
        answer: await send({ value: undefined, marker: null }),
        content: { value: undefined, marker: null },
      }
    )
  }

  /**
   * A new body of an operation, as one that was accepted if there is one, with an owner's id where it has a field for
   * it. It differs from what the owner has sent, so that it is seen if it is written.
   */
  contentFor(operation: Operation, owner: User): Content {
    const { body } = operation
    if (!body) return { value: undefined, marker: null }
    const [first] = candidatesFor(body, this.#resolve)
    const recipe = this.#recipeOf(operation, owner) ?? { base: first, vary: true }
    const content = this.#contentOf(operation, owner, recipe)
    return content.marker === null ? this.#contentOf(operation, owner, { ...recipe, vary: false }) : content
  }

  /** What was accepted of the user, or else of the other one. */
  #recipeOf({ name }: Operation, { label }: User): Recipe | undefined {
    return this.#recipes.get(`${name} ${label}`) ?? this.#recipes.get(`${name} ${label === 'A' ? 'B' : 'A'}`)
  }

  #contentOf({ body }: Operation, user: User, { base, vary }: Recipe): Content {
    if (!body) return { value: undefined, marker: null }
    const { required = [] } = schemaOf(body.schema, this.#resolve)
    const present = typeof base === 'object' && base !== null ? Object.keys(base) : []
    const fields = ownerFieldsOf(body, this.#ownerParam, this.#resolve).filter(
      (name) => present.includes(name) || required.includes(name),
    )
    const ids = new Map(fields.map((name) => [name, user.id]))
    for (const name of present) {
      const owned = this.#memory.made.findLast(
        (each) => each.user === user && parametersOf(each.item).at(-1) === name && name !== 'id',
      )
      const id = owned && [...owned.values.values()].at(-1)
      if (id !== undefined) ids.set(name, id)
    }
    const value = withIds(base, ids, body, this.#resolve)
    return vary ? varied(value, body, this.#resolve) : { value, marker: null }
  }
}

/** A body whose fields are what they already are, so that it changes little. */
function withCurrent(base: unknown, current: Readonly<Record<string, unknown>> | undefined): unknown {
  if (!current || typeof base !== 'object' || base === null || Array.isArray(base)) return base
  const entries = Object.entries(base).map(([name, value]) => [name, current[name] ?? value])
  return Object.fromEntries(entries)
}
