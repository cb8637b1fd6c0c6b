import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { CannotProve } from './refusal.ts'
import type { Resolve } from './schema.ts'

const maxBytes = 20_000_000

export interface OpenApiDocument {
  readonly title: string
  readonly root: Readonly<Record<string, unknown>>
  /** Follows references within the document. Siblings of a `$ref` count, as in JSON Schema 2020-12. */
  readonly resolve: Resolve
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Reads an OpenAPI document, JSON or YAML, from a file or an http(s) URL.
 * @throws CannotProve
 */
export async function readDocument(source: string, timeoutMs: number): Promise<OpenApiDocument> {
  const text = /^https?:\/\//i.test(source) ? await download(source, timeoutMs) : await fromFile(source)
  let root: unknown
  try {
    root = text.trimStart().startsWith('{') ? JSON.parse(text) : parse(text, { logLevel: 'silent' })
  } catch (error) {
    throw new CannotProve(`${source} is neither JSON nor YAML: ${firstLine(error)}`)
  }
  if (!isObject(root)) throw new CannotProve(`${source} is no OpenAPI document`)
  if (!/^3\.[0-9]/.test(String(root['openapi'])))
    throw new CannotProve(`${source} is no OpenAPI document of version 3.0 or 3.1`)
  if (!isObject(root['paths'])) throw new CannotProve(`${source} has no paths`)
  const { info } = root
  return {
    title: isObject(info) && typeof info['title'] === 'string' ? info['title'] : source,
    root,
    resolve: (value) => resolveIn(root, value),
  }
}

function resolveIn(root: Record<string, unknown>, value: unknown, depth = 0): unknown {
  if (!isObject(value) || typeof value['$ref'] !== 'string') return value
  const { $ref, ...siblings } = value
  const pointer = $ref as string
  if (!pointer.startsWith('#'))
    throw new CannotProve(`the document refers to another file (${pointer}): bundle it into one first`)
  if (depth > 50) throw new CannotProve(`the reference ${pointer} leads to itself`)
  let found: unknown = root
  for (const token of pointer.slice(1).split('/').slice(1)) {
    const name = decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
    found = isObject(found) || Array.isArray(found) ? (found as Record<string, unknown>)[name] : undefined
  }
  if (found === undefined) throw new CannotProve(`the reference ${pointer} leads nowhere`)
  const target = resolveIn(root, found, depth + 1)
  return isObject(target) ? { ...target, ...siblings } : target
}

async function fromFile(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).replace(/^\uFEFF/, '')
  } catch (error) {
    throw new CannotProve(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

async function download(url: string, timeoutMs: number): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) }).catch((error) => {
    throw new CannotProve(`cannot read ${url}: ${reasonOf(error)}`)
  })
  if (!answer.ok) throw new CannotProve(`cannot read ${url}: it was answered ${answer.status}`)
  if (Number(answer.headers.get('content-length')) > maxBytes) throw new CannotProve(`${url} is too large`)
  return answer.text().catch((error) => {
    throw new CannotProve(`cannot read ${url}: ${reasonOf(error)}`)
  })
}

/** Why a fetch failed, in a few words: `ECONNREFUSED`, `the time is up`. */
export function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: unknown; message?: string } }
  if (name === 'TimeoutError') return 'no answer in time'
  return typeof cause?.code === 'string' ? cause.code : (cause?.message ?? message)
}

function firstLine(error: unknown): string {
  return ((error as Error).message.split('\n')[0] ?? '').slice(0, 200)
}
