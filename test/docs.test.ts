import { readFileSync } from 'node:fs'
import t from 'tap'
import { Environment } from '../src/config.ts'
import { problemCodes } from '../src/problem.ts'
import { errorsMarkdown, explanations } from '../src/problem-docs.ts'

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

t.test('docs/configuration.md has every variable, and no other', async (t) => {
  const rows = rowsOf('docs/configuration.md', /^[A-Z_]+$/)
  t.same(names(rows), Object.keys(Environment.properties).sort())

  for (const [name = '', documented] of rows) {
    const { default: value } = Environment.properties[name as keyof typeof Environment.properties]
    // Depends on the machine, so the row says how.
    if (value === undefined || name === 'HASH_CONCURRENCY') continue
    t.equal(documented, String(value), `default of ${name}`)
  }
})

t.test('.env.example has every variable, and sets none', async (t) => {
  const lines = readFileSync('.env.example', 'utf8').split('\n')
  t.same(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    [],
  )
  const mentioned = lines.map((line) => /^#([A-Z_]+)=/.exec(line)?.[1]).filter((name) => name !== undefined)
  t.same(mentioned.sort(), Object.keys(Environment.properties).sort())
})

t.test('docs/dependencies.md has every production dependency, and no other', async (t) => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.same(names(rowsOf('docs/dependencies.md', /./)), Object.keys(dependencies).sort())
})

t.test('docs/errors.md is what the catalogue makes, and explains every code', async (t) => {
  const written = readFileSync('docs/errors.md', 'utf8')
  t.equal(written, errorsMarkdown(), 'run `npm run errors` and commit the result')
  for (const code of problemCodes) {
    t.ok(written.includes(`### ${code}\n`), code)
    for (const text of Object.values(explanations[code])) t.match(text, /^[A-Z].*\.$/, code)
  }
})
