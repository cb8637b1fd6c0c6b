import { parseEnv } from 'node:util'
import { ConfigError } from './environment.ts'

interface EnvFile {
  readonly values: Readonly<Record<string, string>>
  /** Names and line numbers, no values. */
  readonly warnings: readonly string[]
}

const assignment = /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=[ \t]*(.*)$/

/** Variables that Node.js reads before .env is loaded. */
const tooLate = ['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS']

/**
 * Parses a .env file, one assignment at a time by Node's own parser: before Node 22, an invalid line consumes the next.
 * @param known the variables of the service
 * @throws ConfigError when it is not UTF-8
 */
export function readEnvFile(bytes: Uint8Array, known: readonly string[]): EnvFile {
  const values: Record<string, string> = {}
  const warnings: string[] = []
  const lines = decode(bytes).split(/\r\n|\r|\n/)
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const warn = (what: string) => warnings.push(`.env line ${number}: ${what}`)
    const number = at + 1
    if (/^\s*(#|$)/.test(line)) continue
    const [, name, value] = assignment.exec(line) ?? []
    if (name === undefined || value === undefined) {
      warn('not an assignment, and ignored')
      continue
    }
    const end = endOfValue(lines, at, value)
    if (end === undefined) warn(`the value of ${name} begins with a quote that does not end`)
    const inside = lines.slice(at + 1, (end ?? at) + 1).map((text) => assignment.exec(text)?.[1] ?? '')
    for (const taken of known.filter((each) => inside.includes(each))) {
      warn(
        `the value of ${name} goes on to line ${(end ?? at) + 1}, and takes the line with it that sets ${taken}`,
      )
    }
    at = end ?? at
    const text = [value, ...lines.slice(number, at + 1)].join('\n')
    if (isCut(text))
      warn(`the value of ${name} ends before a #, or at its second quote: put all of it in quotes`)
    if (Object.hasOwn(values, name)) warn(`${name} is set again, and this one counts`)
    values[name] = parseEnv(`${name}=${text}\n`)[name] ?? ''
    const meant = known.includes(name) ? undefined : known.find((each) => isNear(name, each))
    if (meant !== undefined) warn(`${name} is not read: did you mean ${meant}?`)
    if (tooLate.includes(name)) warn(`${name} has no effect here: set it in the environment`)
  }
  return { values, warnings }
}

function decode(bytes: Uint8Array): string {
  const [first, second] = bytes
  const isUtf16 =
    (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || bytes.includes(0)
  if (isUtf16) throw new ConfigError('.env must be saved as UTF-8, and is UTF-16 or not a text')
  try {
    // Drops a byte order mark.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ConfigError('.env must be saved as UTF-8')
  }
}

/** The index of the line in which a value ends; undefined for an unterminated quote. */
function endOfValue(lines: readonly string[], at: number, value: string): number | undefined {
  const [quote = ''] = /^["'`]/.exec(value) ?? []
  if (quote === '' || value.includes(quote, 1)) return at
  const end = lines.findIndex((line, index) => index > at && line.includes(quote))
  return end === -1 ? undefined : end
}

/** Whether Node's parser truncates a value, comments apart. */
function isCut(value: string): boolean {
  const [quote = ''] = /^["'`]/.exec(value) ?? []
  const end = quote === '' ? -1 : value.indexOf(quote, 1)
  if (end === -1) return /\S#/.test(value)
  return /^\s*[^\s#]/.test(value.slice(end + 1))
}

/** Whether a name is probably a misspelling of a known one. */
function isNear(name: string, known: string): boolean {
  const plain = name.toUpperCase().replace(/[.-]/g, '_')
  if (plain.replaceAll('_', '') === known.replaceAll('_', '')) return true
  return distance(plain, known) <= (known.length < 8 ? 1 : 2)
}

/** Damerau-Levenshtein distance (optimal string alignment). */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, at) => at)]
  const cost = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let row = 1; row <= from.length; row++) {
    rows.push([row])
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      rows[row]?.push(
        Math.min(
          cost(row - 1, column) + 1,
          cost(row, column - 1) + 1,
          cost(row - 1, column - 1) + (same ? 0 : 1),
          swapped ? cost(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
  }
  return cost(from.length, to.length)
}
