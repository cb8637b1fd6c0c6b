import { ownerFieldsIn, withIds } from './bodies.ts'
import type { Values } from './calls.ts'
import type { Context } from './context.ts'
import { placeOfParameter } from './ids.ts'
import { type Judge, judgeForeignItem, judgeForeignPath, judgeNamedOwner, judgeOwnPath } from './judgement.ts'
import type { User } from './memory.ts'
import { type Naming, namingsOf } from './naming.ts'
import type { Method, Operation } from './operations.ts'
import { Owners } from './owners.ts'
import { inWords, type Kind, type NamedIn, type OperationResult, type Probe } from './result.ts'
import { type Answer, accepted } from './service.ts'
import { type Read, Watch } from './watch.ts'
import type { Filled } from './world.ts'

interface Attempt {
  readonly kind: Kind
  readonly values: Values
  readonly token: string | undefined
  readonly judge: Judge
  /** Whose body it is: as its path, unless the request calls somebody else the owner. */
  readonly author: User
  readonly naming?: Naming
  readonly head?: boolean
}

/** Tries one operation as everybody who must not use it, and as the two users who may. */
export class Proof {
  readonly #operation: Operation
  readonly #context: Context
  readonly #probes: Probe[] = []
  readonly #doubts: string[] = []
  readonly #owners: Owners
  readonly #writes: boolean
  #a: Filled = { values: new Map(), made: false }
  #b: Filled | undefined
  #watch: Watch | undefined

  constructor(operation: Operation, context: Context) {
    this.#operation = operation
    this.#context = context
    this.#owners = new Owners(operation, context)
    this.#writes = operation.method !== 'GET' && operation.method !== 'HEAD'
  }

  async run(): Promise<OperationResult> {
    const { world, A, B } = this.#context
    const { method, path } = this.#operation
    const deletes = method === 'DELETE'
    // A DELETE has items of its own to delete, so that the others stay.
    const filled = (user: User) => (deletes ? world.renewed(user, path) : world.fill(user, path))
    const [a, b] = [await filled(A), await filled(B)]
    this.#a = a
    if ('missing' in a) {
      // Nothing is proven by refusals, but what lets others in does so whatever the id.
      await this.#startWatch()
      await this.#onForeignPath()
      return this.#result([`nothing of A's to try it on: ${a.missing}`])
    }
    if ('missing' in b) this.#doubts.push(`B has nothing of the kind: ${b.missing}`)
    else this.#b = b

    if (!deletes) await this.#asOwners()
    await this.#startWatch()
    await this.#onForeignPath()
    await this.#onOwnPath()
    if (deletes) await this.#asOwners()
    await this.#owners.restore()
    return this.#result([])
  }

  /** The control: both users on their own paths. */
  async #asOwners(): Promise<void> {
    const { memory, A, B } = this.#context
    await this.#owners.send(A, this.#a)
    const answer = this.#b && (await this.#owners.send(B, this.#b))
    if (!this.#b || !answer || this.#writes) return
    const evidence = {
      shows: memory.shows(A, answer.text, this.#b.values),
      change: undefined,
      watched: false,
    }
    this.#record('own_path', answer, judgeOwnPath(answer, evidence, this.#operation.method))
  }

  /** Watches what A can read of what the operation writes: its path, and each above it. */
  async #startWatch(): Promise<void> {
    if (!this.#writes) return
    const { calls, world, A, ownerParam } = this.#context
    const segments = this.#operation.path.split('/')
    const paths = segments.map((_, index) => segments.slice(0, index + 1).join('/'))
    const reads = paths.flatMap((path): Read[] => {
      const read = path.includes(`{${ownerParam}}`) && world.at('GET', path)
      if (!read) return []
      const values = world.renamed(this.#a.values, path, read.path)
      return [{ name: read.name, send: () => calls.send(read, { values, token: A.token }) }]
    })
    this.#watch = await Watch.over(reads)
  }

  /** Everybody else on A's path. */
  async #onForeignPath(): Promise<void> {
    const { calls, world, A, B, forgeries } = this.#context
    const isRead = this.#operation.method === 'GET' && !world.at('HEAD', this.#operation.path)
    const ownHead = { values: this.#a.values, token: A.token, head: true }
    const heads = isRead && accepted(await calls.send(this.#operation, ownHead)) ? [false, true] : [false]
    const credentials = [
      { kind: 'no_token', token: undefined } as const,
      ...forgeries,
      { kind: 'other_user', token: B.token } as const,
    ]
    for (const { kind, token } of credentials)
      for (const head of heads)
        await this.#try({ kind, token, head, values: this.#a.values, judge: judgeForeignPath, author: A })
    if (this.#probes.some(({ kind, verdict }) => kind === 'other_user' && verdict !== 'refused')) return
    for (const naming of this.#namings(B))
      await this.#tryAsB('other_user_named', this.#a.values, judgeNamedOwner, naming)
  }

  /** B on B's own path, with something of A's in the request. */
  async #onOwnPath(): Promise<void> {
    const { world, A, B, ownerParam, destructive } = this.#context
    const { path } = this.#operation
    const items = world.itemParametersOf(path)
    // What B is shown without it, B is shown with it.
    const shown = this.#probes.some(({ kind, verdict }) => kind === 'own_path' && verdict === 'hole')
    const namings = shown ? [] : this.#namings(A)
    // What B has of that kind may not be deleted for a try.
    const { method } = this.#operation
    const mayTry = method !== 'DELETE' || (items.length === 0 && destructive)
    if (this.#b && mayTry && (items.length === 0 || this.#writes))
      for (const naming of namings)
        if (items.length === 0 || naming.where === 'body')
          await this.#tryAsB('owner_named', this.#b.values, judgeOwnPath, naming)
    if (items.length === 0 || !(await this.#idsDiffer())) return

    const foreign = () => new Map([...this.#a.values, [ownerParam, B.id]])
    await this.#tryAsB('foreign_item', foreign(), judgeForeignItem)
    const [last = ''] = items.slice(-1)
    if (
      this.#b &&
      items.slice(0, -1).some((name) => this.#a.values.get(name) !== this.#b?.values.get(name))
    ) {
      const mixed = new Map([...this.#b.values, [last, this.#a.values.get(last) ?? '']])
      await this.#tryAsB('foreign_item_own_parent', mixed, judgeForeignItem)
    }
    if (this.#probes.some(({ kind, verdict }) => kind === 'foreign_item' && verdict === 'hole')) return
    for (const naming of namings) await this.#tryAsB('owner_named', foreign(), judgeOwnPath, naming)
  }

  #namings(named: User): Naming[] {
    const { ownerParam, resolve, B } = this.#context
    const answered = this.#owners.ownerFieldsFor(B)
    return namingsOf(this.#operation, named.id, ownerParam, resolve, answered)
  }

  #tryAsB(kind: Kind, values: Values, judge: Judge, naming?: Naming): Promise<void> {
    const { B } = this.#context
    return this.#try({ kind, values, token: B.token, judge, author: B, ...(naming ? { naming } : {}) })
  }

  /** Whether A's item has an id that none of B's has; makes more where ids count from 1 for each user. */
  async #idsDiffer(): Promise<boolean> {
    const { world, A, B, ownerParam } = this.#context
    const { path } = this.#operation
    const [last = ''] = world.itemParametersOf(path).slice(-1)
    const { item } = placeOfParameter(path, last)
    const parents = this.#b?.values ?? new Map([...this.#a.values, [ownerParam, B.id]])
    const taken = await world.idsOf(B, item, parents)
    const before = this.#a
    const isTaken = () => taken.has(this.#a.values.get(last) ?? '')
    for (let attempt = 0; isTaken() && attempt < 20; attempt++) {
      const next = await world.renewed(A, path)
      if ('missing' in next || !next.made) break
      this.#a = next
    }
    if (isTaken())
      this.#doubts.push(`A and B have the same {${last}}: A's item could not be tried on B's path`)
    if (this.#a !== before) await this.#startWatch()
    return !isTaken()
  }

  async #try({ kind, values, token, judge, author, naming, head = false }: Attempt): Promise<void> {
    const { calls, writer, memory, A, B, resolve } = this.#context
    const { method, body } = this.#operation
    const content = writer.contentFor(this.#operation, author)
    const answer = await calls.send(this.#operation, {
      values,
      token,
      head,
      content: naming?.fields && body ? withIds(content.value, naming.fields, body, resolve) : content.value,
      query: naming?.query ?? {},
      headers: naming?.headers ?? {},
      etag: this.#owners.etag,
    })
    let change = await this.#watch?.change(content.marker)
    // A service that shows A what is B's: the name has changed nothing.
    if (change !== undefined && kind === 'owner_named' && (await this.#changesWithout(values, author)))
      change = undefined
    const watched = this.#watch !== undefined && !this.#watch.isEmpty
    // Where A can read nothing, the answer is all there is: it called B the owner before.
    const fields = watched ? [] : ownerFieldsIn(answer.json, A.id)
    const claims = fields.length > 0 && this.#owners.ownerFieldsFor(B).length > 0
    const evidence = { shows: claims || memory.shows(A, answer.text, values), change, watched }
    const sent: Method = head ? 'HEAD' : method
    const judgement = judge(answer, evidence, sent)
    this.#record(kind, answer, judgement, sent, naming?.where)
    if (this.#writes && accepted(answer))
      await this.#afterWrite(
        values,
        answer,
        change !== undefined,
        kind === 'owner_named' && judgement.verdict === 'hole',
      )
  }

  /** Whether the same request of B, without another owner in it, changes what A reads, too. */
  async #changesWithout(values: Values, author: User): Promise<boolean> {
    const { calls, writer, B } = this.#context
    const content = writer.contentFor(this.#operation, author)
    const answer = await calls.send(this.#operation, { values, token: B.token, content: content.value })
    const change = await this.#watch?.change(content.marker)
    if (accepted(answer)) await this.#afterWrite(values, answer, change !== undefined, false)
    return change !== undefined
  }

  /** Remembers what a probe has made, so that it is deleted, and replaces what it has deleted. */
  async #afterWrite(values: Values, answer: Answer, changed: boolean, forA: boolean): Promise<void> {
    const { world, A, B, ownerParam } = this.#context
    const { path, method } = this.#operation
    const onA = values.get(ownerParam) === A.id
    if (method === 'POST' || answer.status === 201)
      world.rememberAnswer(this.#operation, forA || onA ? A : B, values, answer)
    if (method !== 'DELETE' || !(changed || onA)) return
    const next = await world.renewed(A, path)
    if ('missing' in next) return
    this.#a = next
    await this.#startWatch()
  }

  #record(
    kind: Kind,
    { status }: Answer,
    { verdict, text }: ReturnType<Judge>,
    method: Method = this.#operation.method,
    namedIn?: NamedIn,
  ): void {
    const probe = { kind, method, ...(namedIn === undefined ? {} : { namedIn }) }
    this.#probes.push({ ...probe, status, verdict, note: `${inWords(probe)} ${text}` })
  }

  #result(reasons: readonly string[]): OperationResult {
    const { name, method, path, operationId } = this.#operation
    const notesOf = (wanted: Probe['verdict']) =>
      this.#probes.filter(({ verdict }) => verdict === wanted).map(({ note }) => note)
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
      probes: this.#probes,
    }
  }
}
