import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { graphOf } from '../../scripts/package.ts'

const run = promisify(execFile)
const service = JSON.parse(readFileSync('package.json', 'utf8'))

t.test('latchkey/auth loads what verifies a token, and nothing of the service behind it', async (t) => {
  const { files, packages } = graphOf(['dist/plugins/auth.js'])
  t.same(packages, ['@fastify/jwt', 'fastify-plugin', 'lru-cache'])
  t.ok(files.includes('dist/src/tokens/jwks-cache.js'), 'the walk arrives')
  for (const file of files) {
    t.match(file, /^dist\/(plugins|src\/(tokens|http)|src)\/[a-z-]+\.js$/)
    t.notMatch(file, /repository|keyring|held-key|app|config|server|database|passwords|sessions/)
  }
})

t.test('npm pack gets a manifest of the entry, and gives that of the service back', async (t) => {
  const folder = t.testdir({ dist: t.fixture('symlink', resolve('dist')) })
  const file = join(folder, 'package.json')
  const text = readFileSync('package.json', 'utf8')
  writeFileSync(file, text)
  const step = (name: string) =>
    run(process.execPath, [resolve('dist/scripts/package.js'), name], { cwd: folder })

  for (const times of ['once', 'after a run that was cut short']) {
    await step('prepack')
    const { dependencies, peerDependencies, files, ...rest } = JSON.parse(readFileSync(file, 'utf8'))
    const names = ['@fastify/jwt', 'fastify-plugin', 'lru-cache']
    t.same(dependencies, Object.fromEntries(names.map((name) => [name, service.dependencies[name]])), times)
    t.same(Object.keys(peerDependencies), ['fastify'])
    t.ok(files.includes('dist/plugins/auth.d.ts'))
    t.notOk(rest.devDependencies ?? rest.scripts ?? rest.overrides, 'nothing to run or to build with')
  }
  await step('postpack')
  t.equal(readFileSync(file, 'utf8'), text)
})
