import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, accepted } from './service.ts'

type Leaves = ReadonlyMap<string, string>

/** How long what changes by itself may stay the same: a time in seconds, and a margin. */
const confirmAfterMs = 1_100

/** Something of A's that can be read. */
export interface Read {
  readonly name: string
  readonly send: () => Promise<Answer>
}

interface Watched extends Read {
  leaves: Leaves
  /** Paths of what changes by itself, such as a time. */
  readonly volatile: Set<string>
}

/** Finds out whether a request that should have done nothing has changed what its owner reads. */
export class Watch {
  readonly #watched: readonly Watched[]

  private constructor(watched: readonly Watched[]) {
    this.#watched = watched
  }

  /** Reads everything twice; what cannot be read is not watched. */
  static async over(reads: readonly Read[]): Promise<Watch> {
    const watched: Watched[] = []
    for (const read of reads) {
      const first = await read.send()
      if (!accepted(first)) continue
      const leaves = leavesOf(await read.send())
      watched.push({ ...read, leaves, volatile: new Set(differing(leavesOf(first), leaves)) })
    }
    return new Watch(watched)
  }

  get isEmpty(): boolean {
    return this.#watched.length === 0
  }

  /**
   * What has changed since the last call, if anything. A change of a value that may change by itself counts only if it
   * stays; a new, a missing or a marked one counts at once.
   */
  async change(marker: string | null): Promise<string | undefined> {
    let changed: string | undefined
    for (const each of this.#watched) {
      const before = each.leaves
      each.leaves = leavesOf(await each.send())
      const different = () => changesIn(before, each.leaves, each.volatile, marker !== null)
      if (different().length === 0) continue
      const certain = different().some((path) => {
        const [old, now] = [before.get(path), each.leaves.get(path)]
        return old === undefined || now === undefined || (marker !== null && now.includes(marker))
      })
      if (!certain) {
        await delay(confirmAfterMs)
        const later = leavesOf(await each.send())
        for (const path of differing(each.leaves, later)) each.volatile.add(path)
      }
      if (different().length > 0) changed ??= each.name
    }
    return changed
  }
}

/**
 * The paths that differ, without volatile ones. Times alone are no change where a write would show otherwise: a service
 * may note when its user was last seen.
 */
function changesIn(
  before: Leaves,
  after: Leaves,
  volatile: ReadonlySet<string>,
  isMarked: boolean,
): string[] {
  const all = differing(before, after).filter((path) => !volatile.has(path))
  const times = all.filter((path) => isMarked && isRecent(before.get(path)) && isRecent(after.get(path)))
  // An ETag of the body differs with the time in it.
  return all.filter((path) => !times.includes(path) && (times.length === 0 || path !== '#etag'))
}

const dayMs = 86_400_000

/** Whether a JSON value is a time within a day of now: a date-time, or seconds or milliseconds since the epoch. */
function isRecent(json: string | undefined): boolean {
  const value: unknown = json === undefined || json === 'true' || json === 'false' ? undefined : parsed(json)
  const times = typeof value === 'number' ? [value, value * 1000] : [Date.parse(String(value))]
  const isDateTime = typeof value === 'number' || /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(String(value))
  return isDateTime && times.some((time) => Math.abs(time - Date.now()) < dayMs)
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function differing(one: Leaves, other: Leaves): string[] {
  return [...new Set([...one.keys(), ...other.keys()])].filter((path) => one.get(path) !== other.get(path))
}

/** Every value of an answer, by its path. */
function leavesOf({ status, headers, text, json }: Answer): Leaves {
  const leaves = new Map([['#accepted', String(status >= 200 && status < 300)]])
  const etag = headers.get('etag')
  if (etag !== null) leaves.set('#etag', etag)
  const walk = (value: unknown, path: string) => {
    if (typeof value !== 'object' || value === null) leaves.set(path, JSON.stringify(value))
    else for (const [name, each] of Object.entries(value)) walk(each, `${path}/${name}`)
  }
  if (json === undefined) leaves.set('#text', text)
  else walk(json, '')
  return leaves
}
