import { randomBytes } from 'node:crypto'
import type { Calls, Values } from './calls.ts'
import { sampleOf } from './generate.ts'
import { idOfMade, idsInList, placeOfParameter, shapeOf } from './ids.ts'
import type { Memory, User } from './memory.ts'
import { type Method, type Operation, parametersOf } from './operations.ts'
import { givenBy, type Resolve, schemaOf, typeOf } from './schema.ts'
import { type Answer, accepted, described } from './service.ts'
import type { Writer } from './writer.ts'

/** What the parameters of a path are for one user, or why they cannot be had. */
export interface Filled {
  readonly values: Values
  /** Whether this run has made what the last parameter names. */
  readonly made: boolean
}

export interface Missing {
  readonly missing: string
}

/** With ids that need not exist in place of what is missing. */
export type Guessed = Filled & Missing

interface Value {
  readonly value: string
  readonly made: boolean
}

export interface WorldOptions {
  readonly calls: Calls
  readonly writer: Writer
  readonly memory: Memory
  readonly operations: readonly Operation[]
  readonly resolve: Resolve
  readonly ownerParam: string
  /** Values of parameters that are given, by `name`, `A.name` or `B.name`. */
  readonly params: ReadonlyMap<string, string>
}

/** The two users' items: made where a path needs one, and found again. */
export class World {
  readonly #options: WorldOptions
  readonly #byShape: ReadonlyMap<string, Operation>
  readonly #values = new Map<string, Value>()

  constructor(options: WorldOptions) {
    this.#options = options
    const { operations } = options
    this.#byShape = new Map(operations.map((each) => [`${each.method} ${shapeOf(each.path)}`, each]))
  }

  /** The operation at a path, whatever its parameters are called. */
  at(method: Method, path: string): Operation | undefined {
    return this.#byShape.get(`${method} ${shapeOf(path)}`)
  }

  /** Forgets an item, so that the next path that needs one makes a new one. */
  async renewed(user: User, path: string): Promise<Filled | Guessed> {
    const last = this.itemParametersOf(path).at(-1)
    if (last !== undefined) {
      const { item } = placeOfParameter(path, last)
      const suffix = ` ${shapeOf(item)}`
      for (const key of [...this.#values.keys()])
        if (key.startsWith(`${user.label} `) && key.endsWith(suffix)) this.#values.delete(key)
    }
    return this.fill(user, path)
  }

  /** The parameters of a path that are not the owner. */
  itemParametersOf(path: string): string[] {
    return parametersOf(path).filter((name) => name !== this.#options.ownerParam)
  }

  async fill(user: User, path: string): Promise<Filled | Guessed> {
    const values = new Map<string, string>()
    let made = false
    let missing: string | undefined
    for (const name of parametersOf(path)) {
      if (name === this.#options.ownerParam) {
        values.set(name, user.id)
        continue
      }
      const found = await this.#valueFor(user, path, name, values)
      values.set(name, 'missing' in found ? (this.#chosenFor(path, name) ?? '1') : found.value)
      made = !('missing' in found) && found.made
      if ('missing' in found) missing ??= found.missing
    }
    return missing === undefined ? { values, made } : { values, made: false, missing }
  }

  async #valueFor(user: User, path: string, name: string, values: Values): Promise<Value | Missing> {
    const given = this.#options.params.get(`${user.label}.${name}`) ?? this.#options.params.get(name)
    if (given !== undefined) return { value: given, made: false }
    const { item } = placeOfParameter(path, name)
    const key = [user.label, ...[...values.values()].map(encodeURIComponent), shapeOf(item)].join(' ')
    const known = this.#values.get(key)
    if (known) return known
    const found = await this.#findOrMake(user, path, name, values)
    if (!('missing' in found)) this.#values.set(key, found)
    return found
  }

  async #findOrMake(user: User, path: string, name: string, values: Values): Promise<Value | Missing> {
    const { item, collection } = placeOfParameter(path, name)
    const create = this.at('POST', collection) ?? this.#createElsewhere(collection)
    let reason = `no operation creates a {${name}}`
    if (create) {
      const { answer } = await this.#options.writer.perform(
        create,
        user,
        this.renamed(values, collection, create.path),
      )
      const id = accepted(answer) ? idOfMade(answer, item) : undefined
      if (id !== undefined) {
        this.#options.memory.remember(user, item, values, id)
        return { value: id, made: true }
      }
      reason = accepted(answer)
        ? `no id for {${name}} in the answer of ${create.name}`
        : `${create.name} by its owner was ${described(answer)}`
    }
    const list = this.at('GET', collection)
    if (list) {
      const answer = await this.#options.calls.send(list, {
        values: this.renamed(values, collection, list.path),
        token: user.token,
      })
      const [first] = accepted(answer) ? idsInList(answer.json, item) : []
      if (first !== undefined) return { value: first, made: false }
    }
    const chosen = this.#chosenFor(path, name)
    const put = create ? undefined : this.at('PUT', item)
    if (put && chosen !== undefined) {
      const renamed = this.renamed(new Map([...values, [name, chosen]]), item, put.path)
      const { answer } = await this.#options.writer.perform(put, user, renamed)
      if (accepted(answer)) {
        this.#options.memory.remember(user, item, values, chosen)
        return { value: chosen, made: answer.status === 201 }
      }
      reason = `${put.name} by its owner was ${described(answer)}`
    }
    // Of a closed list of names, as the sections of a profile are.
    const closed = this.#parameterOf(path, name).some(({ enum: names }) => names)
    return closed && chosen !== undefined ? { value: chosen, made: false } : { missing: reason }
  }

  /** `POST /notes` for the items of `/users/{user_id}/notes`: its owner is the token's. */
  #createElsewhere(collection: string): Operation | undefined {
    const last = collection.split('/').at(-1)
    return this.#options.operations.find(
      ({ method, path }) =>
        method === 'POST' && parametersOf(path).length === 0 && shapeOf(path).split('/').at(-1) === last,
    )
  }

  #parameterOf(path: string, name: string) {
    const found = this.#options.operations.filter((operation) => operation.path === path)
    return found
      .flatMap(({ parameters }) => parameters)
      .filter((parameter) => parameter.in === 'path' && parameter.name === name)
      .map(({ schema }) => schemaOf(schema, this.#options.resolve))
  }

  /** An id that a client chooses. */
  #chosenFor(path: string, name: string): string | undefined {
    const [schema] = this.#parameterOf(path, name)
    if (!schema) return undefined
    const [given] = givenBy(schema)
    const free = typeOf(schema) === 'string' && !schema.format && !schema.pattern && !schema.enum
    if (free) return `prove-${randomBytes(4).toString('hex')}`
    return String(given ?? sampleOf(schema, this.#options.resolve))
  }

  /** Values under the names that the parameters of another template of the same shape have. */
  renamed(values: Values, from: string, to: string): Values {
    const names = parametersOf(to)
    return new Map(parametersOf(from).map((name, index) => [names[index] ?? name, values.get(name) ?? '']))
  }

  /** Remembers what an operation has made by its answer: where it has no path, it cannot be deleted. */
  rememberAnswer(operation: Operation, user: User, sent: Values, answer: Answer): void {
    const { method, path } = operation
    const { memory, ownerParam } = this.#options
    // Not always the owner that the path had.
    const values = new Map([...sent, [ownerParam, user.id]])
    const shape = `${shapeOf(path)}${method === 'POST' ? '/{}' : ''}`
    const found = this.#options.operations.filter((each) => shapeOf(each.path) === shape)
    const { path: item } = found.find((each) => each.method === 'DELETE') ?? found[0] ?? {}
    const name = parametersOf(item ?? path).at(-1) ?? ''
    const id = method === 'POST' ? item && idOfMade(answer, item) : values.get(name)
    if (item !== undefined && id !== undefined)
      memory.remember(user, item, this.renamed(values, path, item), id)
    else if (answer.status === 201) memory.made.push({ user, item: path, values, isCollection: true })
  }

  /** Ids of a user's items at a template: made by this run, and listed by the service. */
  async idsOf(user: User, item: string, values: Values): Promise<Set<string>> {
    const [name = ''] = parametersOf(item).slice(-1)
    const ids = new Set(
      this.#options.memory.made
        .filter((each) => each.user === user && shapeOf(each.item) === shapeOf(item))
        .map((each) => [...each.values.values()].at(-1) ?? ''),
    )
    const { collection } = placeOfParameter(item, name)
    const list = this.at('GET', collection)
    if (!list) return ids
    const renamed = this.renamed(values, collection, list.path)
    const answer = await this.#options.calls.send(list, { values: renamed, token: user.token })
    if (accepted(answer)) for (const id of idsInList(answer.json, item)) ids.add(id)
    return ids
  }
}
