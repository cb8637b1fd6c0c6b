import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

t.test('openapi.yaml is what the code serves', async (t) => {
  // In its own process: tap's reporter changes how the yaml package writes dates.
  const script = join(import.meta.dirname, '../../../scripts/contract.js')
  const served = execFileSync(process.execPath, [script], { encoding: 'utf8' })
  t.equal(readFileSync('openapi.yaml', 'utf8'), served, 'run `npm run contract` and commit the result')
})

t.test('the types of the client are generated from openapi.yaml', async (t) => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'))
  const [command, ...args] = scripts.client.split(' ')
  const file = join(t.testdir(), 'schema.ts')
  execFileSync(join('node_modules/.bin', command), args.with(-1, file), { stdio: 'pipe' })
  const made = readFileSync(file, 'utf8')
  t.equal(readFileSync('client/src/schema.ts', 'utf8'), made, 'run `npm run client` and commit the result')
})
