import { isIP } from 'node:net'
import { passwordLength } from './pool.ts'

/** Passwords that are tried first (NIST SP 800-63B section 3.1.1.2). */
export interface Blocklist {
  /** @param email the account's address, null where it has none */
  refuses(password: string, email: string | null): boolean
}

/** For `PASSWORD_BLOCKLIST=off`. */
export const noBlocklist: Blocklist = { refuses: () => false }

/** Letters and digits that a password must have beside the words that it is about: more than a year and a digit. */
const minRest = 6

/** Shorter words stand in too many others. */
const minWord = 3

/**
 * Refuses common passwords, whatever their case; walks over the keyboard, sequences and repetitions, of which no
 * list has all; and what says little more than the address of the account or the name of the service.
 * @param names see {@link serviceNames}
 */
export async function loadBlocklist(names: readonly string[]): Promise<Blocklist> {
  // Some megabytes: only where it is used.
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

/** What users would take for the service's name: its own, and what its host is called. */
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
  // The longest first: the address before a part of it.
  const rest = words
    .sort((a, b) => b.length - a.length)
    .reduce((left, word) => left.replaceAll(word, ''), whole)
  return rest !== whole && [...rest].length < minRest
}

/** Of at most four characters, again and again. */
function isRepetition(characters: readonly string[]): boolean {
  return [1, 2, 3, 4].some((period) =>
    characters.every((character, at) => at < period || character === characters[at - period]),
  )
}

/** As in an alphabet, forwards or backwards. */
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

/** A graph has for each character those beside its key, each as the characters of one key. */
function neighboursOn(graph: Readonly<Record<string, readonly (string | null)[]>>): Map<string, Set<string>> {
  const neighbours = new Map<string, Set<string>>()
  for (const [character, keys] of Object.entries(graph)) {
    const known = neighbours.get(character.toLowerCase()) ?? new Set()
    for (const beside of keys.join('').toLowerCase()) known.add(beside)
    neighbours.set(character.toLowerCase(), known)
  }
  return neighbours
}
