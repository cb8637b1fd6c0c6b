import { isIP } from 'node:net'
import { passwordLength } from './pool.ts'

/** Passwords that attackers try first (NIST SP 800-63B section 3.1.1.2). */
export interface Blocklist {
  /** @param email the account's address, null without one */
  refuses(password: string, email: string | null): boolean
}

/** For `PASSWORD_BLOCKLIST=off`. */
export const noBlocklist: Blocklist = { refuses: () => false }

/** Letters and digits required beside context words: more than a year and a digit. */
const minRest = 6

/** Shorter context words occur in too many others. */
const minWord = 3

/**
 * Refuses common passwords in any case, keyboard walks, sequences, repetitions, and passwords that consist of little
 * more than the account's address or the service's name.
 * @param names see {@link serviceNames}
 */
export async function loadBlocklist(names: readonly string[]): Promise<Blocklist> {
  // Several megabytes: loaded only when enabled.
  const { dictionary, adjacencyGraphs } = await import('@zxcvbn-ts/language-common')
  const common = new Set(dictionary['passwords-common'].filter(({ length }) => length >= passwordLength.min))
  const { qwerty, qwertz, azerty, keypad } = adjacencyGraphs
  const keyboards = [qwerty, qwertz, azerty, keypad].map(neighboursOn)
  return {
    refuses(password, email) {
      const folded = password.normalize('NFC').toLowerCase()
      const characters = [...folded]
      return (
        common.has(folded) ||
        isRepetition(characters) ||
        isSequence(characters) ||
        keyboards.some((neighbours) => isWalk(characters, neighbours)) ||
        isAbout(folded, [...names, ...wordsOf(email)])
      )
    },
  }
}

/** Context words: the product's name and the labels of the host. */
export function serviceNames(publicUrl: string): string[] {
  const { hostname } = new URL(publicUrl)
  if (isIP(hostname.replace(/[[\]]/g, ''))) return ['latchkey']
  const labels = hostname.split('.')
  return ['latchkey', ...(labels.length > 1 ? labels.slice(0, -1) : labels)]
}

function wordsOf(email: string | null): string[] {
  if (email === null) return []
  const local = email.slice(0, email.lastIndexOf('@'))
  return [email, local, local.split('+')[0] ?? '']
}

const lettersAndDigits = (text: string) => text.replace(/[^\p{L}\p{N}]/gu, '')

function isAbout(folded: string, texts: readonly string[]): boolean {
  const words = texts
    .map((text) => lettersAndDigits(text.toLowerCase()))
    .filter(({ length }) => length >= minWord)
  const whole = lettersAndDigits(folded)
  // Longest first: the whole address before its parts.
  const rest = words
    .sort((a, b) => b.length - a.length)
    .reduce((text, word) => text.replaceAll(word, ''), whole)
  return rest !== whole && [...rest].length < minRest
}

/** A period of at most four characters. */
function isRepetition(characters: readonly string[]): boolean {
  return [1, 2, 3, 4].some((period) =>
    characters.every((character, at) => at < period || character === characters[at - period]),
  )
}

/** Consecutive code points, ascending or descending. */
function isSequence(characters: readonly string[]): boolean {
  const codes = characters.map((character) => character.codePointAt(0) ?? 0)
  return [1, -1].some((step) => codes.every((code, at) => at === 0 || code - (codes[at - 1] ?? 0) === step))
}

function isWalk(
  characters: readonly string[],
  neighbours: ReadonlyMap<string, ReadonlySet<string>>,
): boolean {
  return characters.every((character, at) => {
    const before = characters[at - 1]
    return before === undefined || before === character || neighbours.get(before)?.has(character)
  })
}

/** The graph maps each character to the adjacent keys, each a string of the key's characters. */
function neighboursOn(graph: Readonly<Record<string, readonly (string | null)[]>>): Map<string, Set<string>> {
  const neighbours = new Map<string, Set<string>>()
  for (const [character, keys] of Object.entries(graph)) {
    const known = neighbours.get(character.toLowerCase()) ?? new Set()
    for (const beside of keys.join('').toLowerCase()) known.add(beside)
    neighbours.set(character.toLowerCase(), known)
  }
  return neighbours
}
