import { Attempts } from './attempts.ts'
import type { Values } from './calls.ts'
import type { Context } from './context.ts'
import { placeOfParameter } from './ids.ts'
import { type Judge, judgeForeignItem, judgeForeignPath, judgeNamedOwner, judgeOwnPath } from './judgement.ts'
import type { User } from './memory.ts'
import { type Naming, namingsOf } from './naming.ts'
import type { Operation } from './operations.ts'
import { Owners } from './owners.ts'
import type { Kind, OperationResult, Probe } from './result.ts'
import { accepted } from './service.ts'
import type { Filled } from './world.ts'

/** Tries one operation as everybody who must not use it, and as the two users who may. */
export class Proof {
  readonly #operation: Operation
  readonly #context: Context
  readonly #doubts: string[] = []
  readonly #owners: Owners
  readonly #attempts: Attempts
  #b: Filled | undefined

  constructor(operation: Operation, context: Context) {
    this.#operation = operation
    this.#context = context
    this.#owners = new Owners(operation, context)
    this.#attempts = new Attempts(operation, context, this.#owners)
  }

  async run(): Promise<OperationResult> {
    const { world, A, B } = this.#context
    const { method, path } = this.#operation
    const deletes = method === 'DELETE'
    // A DELETE has items of its own to delete, so that the others stay.
    const filled = (user: User) => (deletes ? world.renewed(user, path) : world.fill(user, path))
    const [a, b] = [await filled(A), await filled(B)]
    if ('missing' in a) {
      // Nothing is proven by refusals, but what lets others in does so whatever the id.
      await this.#attempts.setTarget(a)
      await this.#onForeignPath()
      return this.#result([`A has no item to test it with: ${a.missing}`])
    }
    if ('missing' in b) this.#doubts.push(`B has no item to compare with: ${b.missing}`)
    else this.#b = b

    if (!deletes) await this.#asOwners(a)
    await this.#attempts.setTarget(a)
    await this.#onForeignPath()
    await this.#onOwnPath()
    if (deletes) await this.#asOwners(this.#attempts.target)
    await this.#owners.restore()
    return this.#result([])
  }

  /** The control: both users on their own paths. */
  async #asOwners(a: Filled): Promise<void> {
    const { memory, A, B } = this.#context
    await this.#owners.send(A, a)
    const answer = this.#b && (await this.#owners.send(B, this.#b))
    if (!this.#b || !answer || this.#attempts.writes) return
    const evidence = {
      shows: memory.shows(A, answer.text, this.#b.values),
      change: undefined,
      watched: false,
    }
    this.#attempts.record('own_path', answer, judgeOwnPath(answer, evidence, this.#operation.method))
  }

  /** Everybody else on A's path. */
  async #onForeignPath(): Promise<void> {
    const { calls, world, A, B, forgeries } = this.#context
    const isRead = this.#operation.method === 'GET' && !world.at('HEAD', this.#operation.path)
    const ownHead = { values: this.#attempts.target.values, token: A.token, head: true }
    const heads = isRead && accepted(await calls.send(this.#operation, ownHead)) ? [false, true] : [false]
    const credentials = [
      { kind: 'no_token', token: undefined } as const,
      ...forgeries,
      { kind: 'other_user', token: B.token } as const,
    ]
    for (const { kind, token } of credentials)
      for (const head of heads)
        await this.#attempts.send({
          kind,
          token,
          head,
          values: this.#attempts.target.values,
          judge: judgeForeignPath,
          author: A,
        })
    if (this.#attempts.had('other_user', 'hole', 'unclear')) return
    for (const naming of this.#namings(B))
      await this.#tryAsB('other_user_named', this.#attempts.target.values, judgeNamedOwner, naming)
  }

  /** B on B's own path, with something of A's in the request. */
  async #onOwnPath(): Promise<void> {
    const { world, A, B, ownerParam, destructive } = this.#context
    const { path } = this.#operation
    const items = world.itemParametersOf(path)
    // What B is shown without it, B is shown with it.
    const shown = this.#attempts.had('own_path', 'hole')
    const namings = shown ? [] : this.#namings(A)
    // What B has of that kind may not be deleted for a try.
    const { method } = this.#operation
    const mayTry = method !== 'DELETE' || (items.length === 0 && destructive)
    if (this.#b && mayTry && (items.length === 0 || this.#attempts.writes))
      for (const naming of namings)
        if (items.length === 0 || naming.where === 'body')
          await this.#tryAsB('owner_named', this.#b.values, judgeOwnPath, naming)
    if (items.length === 0 || !(await this.#idsDiffer())) return

    const foreign = () => new Map([...this.#attempts.target.values, [ownerParam, B.id]])
    await this.#tryAsB('foreign_item', foreign(), judgeForeignItem)
    const [last = ''] = items.slice(-1)
    if (
      this.#b &&
      items.slice(0, -1).some((name) => this.#attempts.target.values.get(name) !== this.#b?.values.get(name))
    ) {
      const mixed = new Map([...this.#b.values, [last, this.#attempts.target.values.get(last) ?? '']])
      await this.#tryAsB('foreign_item_own_parent', mixed, judgeForeignItem)
    }
    if (this.#attempts.had('foreign_item', 'hole')) return
    for (const naming of namings) await this.#tryAsB('owner_named', foreign(), judgeOwnPath, naming)
  }

  #namings(named: User): Naming[] {
    const { ownerParam, resolve, B } = this.#context
    const answered = this.#owners.ownerFieldsFor(B)
    return namingsOf(this.#operation, named.id, ownerParam, resolve, answered)
  }

  #tryAsB(kind: Kind, values: Values, judge: Judge, naming?: Naming): Promise<void> {
    const { B } = this.#context
    return this.#attempts.send({
      kind,
      values,
      token: B.token,
      judge,
      author: B,
      ...(naming ? { naming } : {}),
    })
  }

  /** Whether A's item has an id that none of B's has; makes more where ids count from 1 for each user. */
  async #idsDiffer(): Promise<boolean> {
    const { world, A, B, ownerParam } = this.#context
    const { path } = this.#operation
    const [last = ''] = world.itemParametersOf(path).slice(-1)
    const { item } = placeOfParameter(path, last)
    const parents = this.#b?.values ?? new Map([...this.#attempts.target.values, [ownerParam, B.id]])
    const taken = await world.idsOf(B, item, parents)
    const isTaken = () => taken.has(this.#attempts.target.values.get(last) ?? '')
    for (let attempt = 0; isTaken() && attempt < 20; attempt++) {
      const next = await world.renewed(A, path)
      if ('missing' in next || !next.made) break
      await this.#attempts.setTarget(next)
    }
    if (isTaken())
      this.#doubts.push(`A's and B's items have the same {${last}}: A's item could not be tested on B's path`)
    return !isTaken()
  }

  #result(reasons: readonly string[]): OperationResult {
    const { name, method, path, operationId } = this.#operation
    const notesOf = (wanted: Probe['verdict']) =>
      this.#attempts.probes.filter(({ verdict }) => verdict === wanted).map(({ note }) => note)
    const holes = notesOf('hole')
    if (holes.length > 0 && this.#operation.isPublic)
      holes.push('the document declares that it needs no token: if that is intended, exclude it with --skip')
    const doubts = [...reasons, ...this.#owners.doubts, ...this.#doubts, ...notesOf('unclear')]
    return {
      operation: name,
      method,
      path,
      operationId,
      verdict: holes.length > 0 ? 'hole' : doubts.length > 0 ? 'not_proven' : 'sound',
      reasons: [...new Set(holes.length > 0 ? holes : doubts)],
      own: this.#owners.statuses,
      probes: this.#attempts.probes,
    }
  }
}
