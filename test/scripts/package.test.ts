import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { graphOf } from '../../scripts/package.ts'

const run = promisify(execFile)
const service = JSON.parse(readFileSync('package.json', 'utf8'))

t.test('latchkey/auth loads what verifies a token, and nothing of the service behind it', async (t) => {
  const { files, packages } = graphOf(['dist/plugins/auth.js'])
  t.same(packages, ['@fastify/jwt', 'fastify-plugin', 'lru-cache'])
  const room = /^dist\/(src\/tokens|src\/http|src|plugins)\/[a-z-]+\.js$/
  const others = files.filter((file) => !room.test(file))
  t.same(others, ['dist/plugins/problems/reply.js'])
  const loose = files.filter((file) => /^dist\/(src|plugins)\/[a-z-]+\.js$/.test(file))
  t.same(loose, [
    'dist/plugins/auth.js',
    'dist/plugins/guard.js',
    'dist/plugins/jwt.js',
    'dist/src/clock.js',
    'dist/src/problem.js',
  ])
  for (const file of files) t.notMatch(readFileSync(file, 'utf8'), /from "node:(fs|child_process|net)/, file)
})

t.test('src/tokens is exactly what latchkey/auth loads', async (t) => {
  const { files } = graphOf(['dist/plugins/auth.js'])
  for (const name of readdirSync('src/tokens')) {
    const compiled = `dist/src/tokens/${name.replace(/\.ts$/, '.js')}`
    t.ok(files.includes(compiled) || hasOnlyTypes(compiled), name)
  }
})

/** Whether the compiler has left nothing of a file. */
function hasOnlyTypes(compiled: string): boolean {
  return (
    readFileSync(compiled, 'utf8')
      .replace(/\/\/.*$/gm, '')
      .trim() === ''
  )
}

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
