/** Of functions whose value is not the same on every server, or at every time. */
const volatileCall = /\b(now|clock_timestamp|statement_timestamp|random|gen_random_uuid|nextval)\(/i

const isWrite = /\b(insert into|update|delete from)\b/i

/** Parts of a statement, and why a distributed PostgreSQL (Citus) refuses it. */
const refusals: readonly { readonly reason: string; readonly isIn: (text: string) => boolean }[] = [
  { reason: 'a ctid names a row on one server only', isIn: (text) => /\bctid\b/.test(text) },
  {
    reason: 'the update of a conflict calls a function that is not immutable: use `excluded`',
    isIn: (text) => volatileCall.test(afterConflict(text)),
  },
  {
    reason: 'the update of a conflict with a query has a parameter, of a type that a shard does not know',
    isIn: (text) => isOfQuery(text) && /\$\d/.test(afterConflict(text)),
  },
  {
    reason: 'a write has a CASE or COALESCE over a function that is not immutable: write two statements',
    isIn: (text) => isWrite.test(text) && chosen(text).some((part) => volatileCall.test(part)),
  },
  {
    reason: 'an insert compares with a count of its own: count in a materialized WITH',
    isIn: (text) => /\binsert into\b.*\bwhere\b.*\(select count\(/is.test(text),
  },
]

const afterConflict = (text: string) => /\bon conflict\b.*\bdo update set\b(.*)$/is.exec(text)?.[1] ?? ''

const isOfQuery = (text: string) => /\binsert into\b[^(]*\([^)]*\)\s*\(?\s*select\b/i.test(text)

const chosen = (text: string) => [
  ...(text.match(/\bcase\b.*?\bend\b/gis) ?? []),
  ...(text.match(/\bcoalesce\((?:[^()]|\([^()]*\))*\)/gi) ?? []),
]

const accepted = new Set<string>()

/** @throws Error for a statement that a distributed PostgreSQL refuses, see docs/scale.md */
export function assertDistributable(text: string): void {
  if (accepted.has(text)) return
  for (const { reason, isIn } of refusals) {
    if (isIn(text)) throw new Error(`not for a distributed database, ${reason}: ${text}`)
  }
  accepted.add(text)
}
