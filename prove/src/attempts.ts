import { ownerFieldsIn, withIds } from './bodies.ts'
import type { Values } from './calls.ts'
import type { Context } from './context.ts'
import type { Judge } from './judgement.ts'
import type { User } from './memory.ts'
import type { Naming } from './naming.ts'
import type { Method, Operation } from './operations.ts'
import type { Owners } from './owners.ts'
import { inWords, type Kind, type NamedIn, type Probe } from './result.ts'
import { type Answer, accepted } from './service.ts'
import { type Read, Watch } from './watch.ts'
import type { Filled } from './world.ts'

export interface Attempt {
  readonly kind: Kind
  readonly values: Values
  readonly token: string | undefined
  readonly judge: Judge
  /** Whose body is sent. */
  readonly author: User
  readonly naming?: Naming
  readonly head?: boolean
}

/** Sends the requests of one operation that must not succeed, and records the result of each. */
export class Attempts {
  readonly probes: Probe[] = []
  readonly #operation: Operation
  readonly #context: Context
  readonly #owners: Owners
  #target: Filled = { values: new Map(), made: false }
  #watch: Watch | undefined

  constructor(operation: Operation, context: Context, owners: Owners) {
    this.#operation = operation
    this.#context = context
    this.#owners = owners
  }

  /** A's item; another one once a probe has deleted it. */
  get target(): Filled {
    return this.#target
  }

  get writes(): boolean {
    return this.#operation.method !== 'GET' && this.#operation.method !== 'HEAD'
  }

  /** Whether a probe of this kind had one of these verdicts. */
  had(kind: Kind, ...verdicts: Probe['verdict'][]): boolean {
    return this.probes.some((probe) => probe.kind === kind && verdicts.includes(probe.verdict))
  }

  /** Sets the item that probes address, and starts to watch it. */
  async setTarget(target: Filled): Promise<void> {
    this.#target = target
    await this.#startWatch()
  }

  /** Watches what A can read of what the operation writes: its path, and each above it. */
  async #startWatch(): Promise<void> {
    if (!this.writes) return
    const { calls, world, A, ownerParam } = this.#context
    const segments = this.#operation.path.split('/')
    const paths = segments.map((_, index) => segments.slice(0, index + 1).join('/'))
    const reads = paths.flatMap((path): Read[] => {
      const read = path.includes(`{${ownerParam}}`) && world.at('GET', path)
      if (!read) return []
      const values = world.renamed(this.#target.values, path, read.path)
      return [{ name: read.name, send: () => calls.send(read, { values, token: A.token }) }]
    })
    this.#watch = await Watch.over(reads)
  }

  async send({ kind, values, token, judge, author, naming, head = false }: Attempt): Promise<void> {
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
    // The service shows B's data to A: the change is not an effect of the naming.
    if (change !== undefined && kind === 'owner_named' && (await this.#changesWithout(values, author)))
      change = undefined
    const watched = this.#watch !== undefined && !this.#watch.isEmpty
    // Without reads to compare, the answer is the only evidence: it had B as the owner before.
    const fields = watched ? [] : ownerFieldsIn(answer.json, A.id)
    const claims = fields.length > 0 && this.#owners.ownerFieldsFor(B).length > 0
    const evidence = { shows: claims || memory.shows(A, answer.text, values), change, watched }
    const sent: Method = head ? 'HEAD' : method
    const judgement = judge(answer, evidence, sent)
    this.record(kind, answer, judgement, sent, naming?.where)
    if (this.writes && accepted(answer))
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
    await this.setTarget(next)
  }

  record(
    kind: Kind,
    { status }: Answer,
    { verdict, text }: ReturnType<Judge>,
    method: Method = this.#operation.method,
    namedIn?: NamedIn,
  ): void {
    const probe = { kind, method, ...(namedIn === undefined ? {} : { namedIn }) }
    this.probes.push({ ...probe, status, verdict, note: `${inWords(probe)} ${text}` })
  }
}
