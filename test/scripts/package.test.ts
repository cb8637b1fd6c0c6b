import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { graphOf } from '../../scripts/package.ts'

t.test('latchkey/auth loads only what verifies a token', async (t) => {
  const { files, packages } = graphOf(['dist/plugins/auth.js'])
  t.same(packages, ['@fastify/jwt', 'fastify-plugin', 'lru-cache'])
  const room = /^dist\/(src\/tokens|src\/http|src|plugins)\/[a-z-]+\.js$/
  const others = files.filter((file) => !room.test(file))
  t.same(others, [
    'dist/plugins/problems/reply.js',
    'dist/src/api-keys/introspected-keys.js',
    'dist/src/api-keys/text.js',
    'dist/src/api-keys/verifier.js',
    'dist/src/sessions/issuer-clocks.js',
    'dist/src/sessions/revocation-reader.js',
    'dist/src/sessions/revocations.js',
  ])
  const loose = files.filter((file) => /^dist\/(src|plugins)\/[a-z-]+\.js$/.test(file))
  t.same(loose, [
    'dist/plugins/auth.js',
    'dist/plugins/followed-latchkey.js',
    'dist/plugins/guard.js',
    'dist/plugins/jwt.js',
    'dist/plugins/services.js',
    'dist/src/clock.js',
    'dist/src/problem.js',
  ])
  for (const file of files) t.notMatch(readFileSync(file, 'utf8'), /from "node:(fs|child_process|net)/, file)
})

t.test('src/tokens contains exactly what latchkey/auth loads', async (t) => {
  const { files } = graphOf(['dist/plugins/auth.js'])
  for (const name of readdirSync('src/tokens')) {
    const compiled = `dist/src/tokens/${name.replace(/\.ts$/, '.js')}`
    t.ok(files.includes(compiled) || hasOnlyTypes(compiled), name)
  }
})

/** Whether a file compiles to nothing. */
function hasOnlyTypes(compiled: string): boolean {
  return (
    readFileSync(compiled, 'utf8')
      .replace(/\/\/.*$/gm, '')
      .trim() === ''
  )
}
