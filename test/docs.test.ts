import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { errorsMarkdown, explanations } from '../scripts/problem-docs.ts'
import { Environment } from '../src/config/config.ts'
import { problemCodes } from '../src/problem.ts'

/** The cells of each table row whose first cell is a name in backticks. */
function rowsOf(file: string, name: RegExp): string[][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')))
    .map(([, ...cells]) => cells)
    .filter(([first = '']) => name.test(first))
}

const names = (rows: string[][]) => rows.map(([name]) => name).sort()

t.test('docs/configuration.md has exactly the variables that exist', async (t) => {
  const rows = rowsOf('docs/configuration.md', /^[A-Z_]+$/)
  t.same(names(rows), Object.keys(Environment.properties).sort())

  for (const [name = '', documented] of rows) {
    const { default: value } = Environment.properties[name as keyof typeof Environment.properties]
    // HASH_CONCURRENCY depends on the machine.
    if (value === undefined || name === 'HASH_CONCURRENCY') continue
    t.equal(documented, String(value), `default of ${name}`)
  }
})

t.test('.env.example names every variable, and sets none', async (t) => {
  const lines = readFileSync('.env.example', 'utf8').split('\n')
  t.same(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    [],
  )
  const mentioned = lines.map((line) => /^#([A-Z_]+)=/.exec(line)?.[1]).filter((name) => name !== undefined)
  t.same(mentioned.sort(), Object.keys(Environment.properties).sort())
})

t.test('docs/dependencies.md has exactly the production dependencies', async (t) => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.same(names(rowsOf('docs/dependencies.md', /./)), Object.keys(dependencies).sort())
})

t.test('docs/errors.md is generated from the catalogue, and explains every code', async (t) => {
  const written = readFileSync('docs/errors.md', 'utf8')
  t.equal(written, errorsMarkdown(), 'run `npm run errors` and commit the result')
  for (const code of problemCodes) {
    t.ok(written.includes(`### ${code}\n`), code)
    for (const text of Object.values(explanations[code])) t.match(text, /^[A-Z].*\.$/, code)
  }
})

/** Every TypeScript file of some folders. */
function sourcesOf(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => `${folder}/${file}`),
  )
}

t.test('docs/security.md: its files and the tests of its rows exist', async (t) => {
  const text = readFileSync('docs/security.md', 'utf8')
  const path =
    /`((?:src|plugins|routes|test|bench|client|docs)\/[\w./-]*|[\w.-]+\.(?:json|yaml)|Dockerfile)`/g
  const named = [...text.matchAll(path)].map(([, name = '']) => name)
  t.ok(named.length > 100)
  t.same(
    named.filter((name) => !existsSync(name)),
    [],
  )
  const tests = sourcesOf('test')
    .map((file) => readFileSync(file, 'utf8'))
    .join('')
  const rows = new Set(text.match(/\b[A-J]\d\d\b/g))
  t.same(
    [...rows].filter((row) => !new RegExp(`['"\`][^'"\`\n]*\\b${row}\\b`).test(tests)),
    [],
  )
})

t.test('docs/security.md: the inventory has each file that uses cryptography', async (t) => {
  const [, inventory = ''] = readFileSync('docs/security.md', 'utf8').split(/^## Cryptography$|^## Data$/m)
  const uses = /from '(node:crypto|node:tls|argon2|bcrypt|@fastify\/jwt|nodemailer)'|\bcrypto\./
  const files = sourcesOf('src', 'plugins', 'routes').filter((file) => uses.test(readFileSync(file, 'utf8')))
  t.ok(files.length > 10)
  t.same(
    files.filter((file) => !inventory.includes(file)),
    [],
  )
})

t.test('docs/security.md: the counts of the ASVS match its rows', async (t) => {
  const [, chapters = '', beyond = ''] = readFileSync('docs/security.md', 'utf8').split(
    /^## OWASP ASVS 5.0$|^### Beyond these chapters$/m,
  )
  const cellsOf = (text: string, form: RegExp) =>
    text
      .split('\n')
      .filter((line) => form.test(line))
      .map((line) => line.split('|').map((cell) => cell.trim()))
  const rows = { chapters: cellsOf(chapters, /^\| \d+\.\d/), beyond: cellsOf(beyond, /^\| \d+\.\d/) }
  const ids = Object.values(rows).flatMap((part) => part.map(([, id]) => id))
  t.equal(new Set(ids).size, ids.length, 'each once')
  t.ok(ids.length > 200)
  for (const [, part = '', level, ...counts] of cellsOf(chapters, /^\| (chapters|beyond) /)) {
    const states = rows[part as keyof typeof rows].filter((row) => row[2] === level).map((row) => row[4])
    const counted = ['met', 'not applicable', 'open'].map(
      (state) => states.filter((found) => found === state).length,
    )
    t.same(counts.slice(0, 3).map(Number), counted, `${part} ${level}`)
    t.equal(
      counted.reduce((sum, count) => sum + count),
      states.length,
      'no other state',
    )
  }
})
