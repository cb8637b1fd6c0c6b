import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { errorsMarkdown, explanations } from '../scripts/problem-docs.ts'
import { Environment } from '../src/config/environment.ts'
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

t.test('docs/configuration.md lists exactly the existing variables', async (t) => {
  const rows = rowsOf('docs/configuration.md', /^[A-Z_]+$/)
  t.same(names(rows), Object.keys(Environment.properties).sort())

  for (const [name = '', documented] of rows) {
    const { default: value } = Environment.properties[name as keyof typeof Environment.properties]
    // HASH_CONCURRENCY depends on the machine.
    if (value === undefined || name === 'HASH_CONCURRENCY') continue
    t.equal(documented, String(value), `default of ${name}`)
  }
})

t.test('.env.example lists every variable, and sets none', async (t) => {
  const lines = readFileSync('.env.example', 'utf8').split('\n')
  t.same(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    [],
  )
  const mentioned = lines.map((line) => /^#([A-Z_]+)=/.exec(line)?.[1]).filter((name) => name !== undefined)
  t.same(mentioned.sort(), Object.keys(Environment.properties).sort())
})

t.test('docs/dependencies.md lists exactly the production dependencies', async (t) => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.same(names(rowsOf('docs/dependencies.md', /./)), Object.keys(dependencies).sort())
})

t.test('docs/errors.md is up to date, and explains every code', async (t) => {
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

/** Pages that a person reads. */
const pages = [
  ...readdirSync('docs').map((name) => `docs/${name}`),
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  'client/README.md',
  'prove/README.md',
  'examples/admin/README.md',
  'examples/notes-service/README.md',
]

/** Added by the examples in docs/architecture.md and docs/own-resource.md. */
const addedByExample = [
  'routes/api/note-copies/index.ts',
  'routes/api/task-count/index.ts',
  'src/resources/notes.ts',
  'src/task-count/repository.ts',
]

t.test('every path in a page exists', async (t) => {
  const folders = readdirSync('.', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'dist' && entry.name !== 'data')
    .map(({ name }) => name.replaceAll('.', '\\.'))
  const path = new RegExp(
    `\`((?:${folders.join('|')})/[\\w./-]*|[\\w.-]+\\.(?:json|yaml|md)|Dockerfile)\``,
    'g',
  )
  let count = 0
  for (const page of pages) {
    const named = [...readFileSync(page, 'utf8').matchAll(path)].map(([, name = '']) => name)
    count += named.length
    const missing = named.filter((name) => !existsSync(name) && !addedByExample.includes(name))
    t.same(missing, [], page)
  }
  t.ok(count > 400)
})

t.test('every link in a page leads to an existing file and heading', async (t) => {
  const headings = new Map<string, Set<string>>()
  const headingsOf = (file: string) => {
    const known = headings.get(file)
    if (known) return known
    const found = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, text = '']) =>
      text
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    )
    const set = new Set(found)
    headings.set(file, set)
    return set
  }
  for (const page of pages) {
    const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
    const broken = links.filter(([, path = '', anchor]) => {
      const file = path === '' ? page : join(dirname(page), path)
      return !existsSync(file) || (anchor !== undefined && !headingsOf(file).has(anchor))
    })
    t.same(
      broken.map(([link]) => link),
      [],
      page,
    )
  }
})

t.test('docs/architecture.md lists the files with SQL, and each folder of src and plugins', async (t) => {
  const text = readFileSync('docs/architecture.md', 'utf8')
  const [, way = ''] = text.split(/^## The way of a request$|^## What must never break$/m)
  const statement = /\.(?:selectFrom|insertInto|updateTable|deleteFrom)\(|\bsql(?:<[^`]*>)?`/
  const withSql = sourcesOf('src', 'plugins', 'routes').filter((file) =>
    statement.test(readFileSync(file, 'utf8')),
  )
  t.ok(withSql.length > 20)
  t.same(
    withSql.filter((file) => !/\/repository\.ts$|^src\/db\//.test(file) && !way.includes(`\`${file}\``)),
    [],
  )
  const [, layout = ''] = text.split(/^## Layout$|^## A guarded route$/m)
  for (const folder of ['src', 'plugins']) {
    const rooms = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    for (const { name } of rooms) t.match(layout, new RegExp(`^  ${name}/`, 'm'), `${folder}/${name}`)
  }
})

t.test('docs/security.md: every row of the threats that it refers to is in a title of a test', async (t) => {
  const text = readFileSync('docs/security.md', 'utf8')
  const tests = sourcesOf('test')
    .map((file) => readFileSync(file, 'utf8'))
    .join('')
  const rows = new Set(text.match(/\b[A-J]\d\d\b/g))
  t.ok(rows.size > 50)
  t.same(
    [...rows].filter((row) => !new RegExp(`^(?!\\s*(?://|\\*)).*['"\`].*\\b${row}\\b`, 'm').test(tests)),
    [],
  )
})

t.test('docs/security.md: the inventory lists each file that uses cryptography', async (t) => {
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
