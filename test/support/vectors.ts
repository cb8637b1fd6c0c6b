import { readFileSync } from 'node:fs'
import { join } from 'node:path'

interface JsonVector {
  readonly id: string
  readonly expect: 'accept' | 'reject' | 'implementation-defined'
  readonly bodyBase64?: string
  readonly repeat?: string
  readonly times?: number
  readonly end?: string
}

/** Texts that a JSON parser must accept, must refuse, or may do either with (JSONTestSuite). */
export function jsonVectors() {
  const { vectors } = read<{ vectors: JsonVector[] }>('json-parsing.json')
  return vectors.map(({ id, expect, bodyBase64 = '', repeat, times = 0, end = '' }) => ({
    id,
    expect,
    body: repeat === undefined ? Buffer.from(bodyBase64, 'base64') : Buffer.from(repeat.repeat(times) + end),
  }))
}

/** Every vector, or one of `every` in the fast suite; the full suite has them all. */
export const sampled = <T>(vectors: readonly T[], every: number): readonly T[] =>
  process.env['TEST_SAMPLES'] === 'all' ? vectors : vectors.filter((_, index) => index % every === 0)

/** The Big List of Naughty Strings. */
export function naughtyStrings(): string[] {
  return read<{ strings: string[] }>('naughty-strings.json').strings
}

interface Address {
  readonly id: string
  readonly address: string
  readonly category: string
  /** Absent where the source only has the analysis by RFC 5322. */
  readonly expect?: 'accept' | 'reject'
}

/** Valid and invalid addresses of three test suites, with their verdicts. */
export function emailAddresses(): Address[] {
  return read<{ addresses: Address[] }>('email-addresses.json').addresses
}

/** From the source tree: the compiler does not copy data. */
function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../../../test/vectors', name), 'utf8')) as T
}
