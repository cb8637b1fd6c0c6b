import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

t.test('openapi.yaml is what the code serves', async (t) => {
  // In a process of its own: tap's reporter changes how the yaml package writes dates.
  const script = join(import.meta.dirname, '../src/contract.js')
  const served = execFileSync(process.execPath, [script], { encoding: 'utf8' })
  t.equal(readFileSync('openapi.yaml', 'utf8'), served, 'run `npm run contract` and commit the result')
})
