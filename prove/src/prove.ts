import { Calls } from './calls.ts'
import type { Context } from './context.ts'
import type { OpenApiDocument } from './document.ts'
import { shapeOf } from './ids.ts'
import { Memory, type User } from './memory.ts'
import { type Operation, operationsOf, ownerParameterOf } from './operations.ts'
import { Proof } from './proof.ts'
import { CannotProve } from './refusal.ts'
import type { OperationResult, Report } from './result.ts'
import { accepted, described, Service } from './service.ts'
import { forgeriesOf, subjectOf } from './tokens.ts'
import { World } from './world.ts'
import { Writer } from './writer.ts'

export interface ProveOptions {
  readonly document: OpenApiDocument
  readonly baseUrl: URL
  /** Of user A and user B. */
  readonly tokens: readonly [string, string]
  /** Ids of A and B in the path; undefined: `sub` of their tokens. */
  readonly owners?: readonly [string, string] | undefined
  readonly ownerParam?: string | undefined
  /** Patterns of operations, such as `DELETE /api/*`, that are not tried. */
  readonly skip: readonly string[]
  /** Values of path parameters, by `name`, `A.name` or `B.name`. */
  readonly params: ReadonlyMap<string, string>
  readonly destructive: boolean
  readonly timeoutMs: number
  readonly maxWaitMs: number
  readonly signal?: AbortSignal
  /** Progress, a line at a time. */
  readonly log: (line: string) => void
}

/** `action` is a POST that creates nothing to read, such as a logout. */
const order = ['POST', 'GET', 'HEAD', 'PUT', 'PATCH', 'action', 'DELETE']

/** Creation first, actions and deletion last; nested items are deleted before their parents. */
function inOrder(operations: readonly Operation[]): Operation[] {
  const shapes = new Set(
    operations.filter(({ method }) => method !== 'POST').map(({ path }) => shapeOf(path)),
  )
  const rank = ({ method, path }: Operation) => {
    const creates = shapes.has(shapeOf(path)) || shapes.has(`${shapeOf(path)}/{}`)
    return order.indexOf(method === 'POST' && !creates ? 'action' : method)
  }
  const depth = ({ method, path }: Operation) => path.split('/').length * (method === 'DELETE' ? -1 : 1)
  return operations.toSorted((one, other) => rank(one) - rank(other) || depth(one) - depth(other))
}

/**
 * Tries every operation whose path has the owner in it.
 * @throws CannotProve, AbortError
 */
export async function prove(options: ProveOptions): Promise<Report> {
  const { document, baseUrl, log, signal } = options
  const { resolve } = document
  const all = operationsOf(document)
  const ownerParam = ownerParameterOf(all, options.ownerParam)
  const owned = inOrder(all.filter(({ path }) => path.includes(`{${ownerParam}}`)))
  const [A, B] = usersOf(options)
  const service = new Service({ ...options, log: (line) => log(`      ${line}`), signal })
  const calls = new Calls(service, resolve, ownerParam)
  const memory = new Memory()
  const writer = new Writer(calls, memory, resolve, ownerParam)
  const world = new World({ ...options, calls, writer, memory, operations: all, resolve, ownerParam })
  const shared = { calls, writer, memory, world, resolve, ownerParam }
  const context: Context = { ...options, ...shared, A, B, forgeries: forgeriesOf(A.token) }

  const results: OperationResult[] = []
  let leftBehind: string[] = []
  try {
    const tried = owned.filter(({ name }) => !options.skip.some((pattern) => isLike(name, pattern)))
    log(`${tried.length} operations with {${ownerParam}} at ${baseUrl.href}`)
    // Before the first probe, so that a list that leaks has something to show.
    for (const { path } of tried) for (const user of [A, B]) await world.fill(user, path)
    for (const operation of owned) {
      if (!tried.includes(operation)) {
        results.push(skipped(operation))
        continue
      }
      const place = `[${String(results.length + 1).padStart(String(owned.length).length)}/${owned.length}]`
      const result = await new Proof(operation, context).run()
      results.push(result)
      log(`${place} ${result.verdict.replace('_', ' ').padEnd(10)} ${operation.name}`)
    }
  } finally {
    // Also after Ctrl-C, whose signal ends the requests of the run.
    const last = new Calls(new Service({ ...options, log, signal: undefined }), resolve, ownerParam)
    leftBehind = await cleanUp(last, world, memory).catch(() => [])
  }
  signal?.throwIfAborted()
  return {
    title: document.title,
    baseUrl: baseUrl.href,
    ...verdictOf(results),
    operations: results,
    leftBehind,
  }
}

function usersOf({ tokens, owners }: ProveOptions): readonly [User, User] {
  const ids = owners ?? ([subjectOf(tokens[0], 'A'), subjectOf(tokens[1], 'B')] as const)
  if (tokens[0] === tokens[1]) throw new CannotProve('both tokens are the same: two users are needed')
  if (ids[0] === ids[1]) throw new CannotProve('both tokens are of the same user: two are needed')
  return [
    { label: 'A', id: ids[0], token: tokens[0] },
    { label: 'B', id: ids[1], token: tokens[1] },
  ]
}

/** Whether a pattern means an operation: `*` is any text, and the method may be missing. */
function isLike(name: string, pattern: string): boolean {
  const text = pattern.startsWith('/') ? `* ${pattern}` : pattern
  const source = text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${source.join('.*')}$`, 'i').test(name)
}

function skipped({ name, method, path, operationId }: Operation): OperationResult {
  const own = { A: null, B: null }
  return {
    operation: name,
    method,
    path,
    operationId,
    verdict: 'skipped',
    reasons: ['skipped by --skip'],
    own,
    probes: [],
  }
}

/** Deletes what the run has made, the last first. */
async function cleanUp(calls: Calls, world: World, memory: Memory): Promise<string[]> {
  const left: string[] = []
  const seen = new Set<string>()
  for (const { user, item, values, isCollection } of memory.made.toReversed()) {
    const key = [user.label, shapeOf(item), ...values.values()].join(' ')
    if (!isCollection && seen.has(key)) continue
    seen.add(key)
    const remove = isCollection ? undefined : world.at('DELETE', item)
    if (!remove) {
      left.push(`${user.label}: created at ${item}, and no operation deletes it`)
      continue
    }
    const renamed = world.renamed(values, item, remove.path)
    const answer = await calls.send(remove, { values: renamed, token: user.token, etag: '*' })
    if (!accepted(answer) && answer.status !== 404 && answer.status !== 410)
      left.push(`${user.label}: ${remove.name} was ${described(answer)}`)
  }
  return [...new Set(left)]
}

function verdictOf(results: readonly OperationResult[]): Pick<Report, 'verdict' | 'summary'> {
  const count = (wanted: OperationResult['verdict']) =>
    results.filter(({ verdict }) => verdict === wanted).length
  const tried = results.length - count('skipped')
  const open = count('not_proven')
  const rest = open > 0 ? `; ${open} not proven` : ''
  if (count('hole') > 0)
    return {
      verdict: 'hole',
      summary: `${count('hole')} of ${tried} operations have a hole${rest}`,
    }
  if (count('sound') > 0)
    return {
      verdict: 'sound',
      summary: `${count('sound')} of ${tried} operations serve only the owner${rest}`,
    }
  return { verdict: 'nothing_proven', summary: whyNothing(results) }
}

function whyNothing(results: readonly OperationResult[]): string {
  const refused = (label: 'A' | 'B') => {
    const statuses = results.map(({ own }) => own[label]).filter((status) => status !== null)
    return statuses.length > 0 && statuses.every((status) => status === 401)
  }
  for (const label of ['A', 'B'] as const)
    if (refused(label)) return `the token of user ${label} was answered 401 everywhere: is it expired?`
  const forbidden = results.some(({ own }) => own.A === 403 || own.B === 403)
  const hint = forbidden
    ? ': are the ids of the users in the path those of their tokens? --owner gives others'
    : ''
  return `no operation could be shown to work for its owner${hint}`
}
