import { ownerFieldsIn } from './bodies.ts'
import type { Context } from './context.ts'
import type { User } from './memory.ts'
import type { Operation } from './operations.ts'
import { type Answer, accepted, described } from './service.ts'
import type { Filled } from './world.ts'

type Fields = Readonly<Record<string, unknown>>

/** Sends an operation as those who may use it: without that, a refusal to others shows nothing. */
export class Owners {
  readonly #doubts: string[] = []
  readonly statuses: { A: number | null; B: number | null } = { A: null, B: null }
  /** The ETag of A's item, once the service has asked for one. */
  etag: string | undefined
  readonly #operation: Operation
  readonly #context: Context
  readonly #answers = new Map<User, Answer>()
  readonly #restores: (() => Promise<unknown>)[] = []

  constructor(operation: Operation, context: Context) {
    this.#operation = operation
    this.#context = context
  }

  /** The answer; undefined where nothing was sent. */
  async send(user: User, filled: Filled): Promise<Answer | undefined> {
    const { method } = this.#operation
    if (method === 'DELETE' && !filled.made && !this.#context.destructive) {
      this.#doubts.push(
        `${user.label}'s own request was not sent: it would delete what the run has not created`,
      )
      return undefined
    }
    const isRead = method === 'GET' || method === 'HEAD'
    const { values } = filled
    const answer = isRead
      ? await this.#context.calls.send(this.#operation, { values, token: user.token })
      : await this.#write(user, filled)
    this.statuses[user.label] = answer.status
    this.#answers.set(user, answer)
    return answer
  }

  /** Why the control fails, if it does. */
  get doubts(): string[] {
    const refused = [...this.#answers].filter(([, answer]) => !accepted(answer))
    const [one, other] = refused.map(([user, answer]) => ({ label: user.label, text: described(answer) }))
    const both = one !== undefined && one.text === other?.text
    const notes = both
      ? [`both users' own requests were ${one.text}`]
      : [one, other].flatMap((each) => (each ? [`${each.label}'s own request was ${each.text}`] : []))
    return [...this.#doubts, ...notes]
  }

  /** The fields in which the answer to a user calls that user the owner. */
  ownerFieldsFor(user: User): string[] {
    return ownerFieldsIn(this.#answers.get(user)?.json, user.id)
  }

  async #write(user: User, { values, made }: Filled): Promise<Answer> {
    const { calls, world, writer } = this.#context
    const { method, path, parameters } = this.#operation
    const { token } = user
    const read = method === 'POST' ? undefined : world.at('GET', path)
    const before = read && (await calls.send(read, { values: world.renamed(values, path, read.path), token }))
    // What this run has not made keeps its values as far as possible, and gets them back.
    const current = !made && before && accepted(before) ? (before.json as Fields) : undefined
    const etag = before?.headers.get('etag') ?? undefined
    const asksForEtag = parameters.some(({ name, required }) => required && /^if-match$/i.test(name))
    let performed = await writer.perform(this.#operation, user, values, {
      current,
      etag: asksForEtag ? etag : undefined,
    })
    if (performed.answer.status === 428) {
      performed = await writer.perform(this.#operation, user, values, { current, etag })
      if (user === this.#context.A) this.etag = '*'
    }
    const { answer, content } = performed
    if (method === 'POST' && accepted(answer)) world.rememberAnswer(this.#operation, user, values, answer)
    if (current && accepted(answer) && method !== 'DELETE')
      this.#restores.push(() =>
        calls.send(this.#operation, { values, token, content: restored(content.value, current) }),
      )
    return answer
  }

  /** Gives back what was there before to what this run has not made. */
  async restore(): Promise<void> {
    for (const each of this.#restores) await each()
  }
}

function restored(sent: unknown, current: Fields): unknown {
  if (typeof sent !== 'object' || sent === null || Array.isArray(sent)) return sent
  return Object.fromEntries(Object.entries(sent).map(([name, value]) => [name, current[name] ?? value]))
}
