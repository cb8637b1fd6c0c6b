import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { fastApiDocument, fastApiItems, fastApiToken } from '../../support/fastapi-items.ts'
import { served } from '../../support/prove.ts'

/** Runs a command without tap's environment. @returns its exit code and what it wrote */
async function run(cwd: string, command: string, args: string[], env: Record<string, string> = {}) {
  const { PATH = '', HOME = '' } = process.env
  return promisify(execFile)(command, args, { cwd, env: { PATH, HOME, ...env } }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
  )
}

t.test('the package has its files, and its command runs in another folder', async (t) => {
  const root = t.testdir({ other: {} })
  const packed = await run('prove', 'npm', ['pack', '--json', '--silent', '--pack-destination', root])
  t.equal(packed.code, 0, packed.stderr)
  const [pack] = JSON.parse(packed.stdout)
  const modules = readdirSync('prove/src').map((name) => name.replace(/\.ts$/, ''))
  t.same(
    pack.files.map(({ path }: { path: string }) => path).sort(),
    [
      'LICENSE',
      'README.md',
      'package.json',
      ...modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]),
    ].sort(),
  )
  await run(root, 'tar', ['-xf', pack.filename])
  const folder = join(root, 'package')
  t.same(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).dependencies, { yaml: '^2.9.1' })
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(resolve('node_modules/yaml'), join(folder, 'node_modules/yaml'))

  const other = join(root, 'other')
  writeFileSync(join(other, 'openapi.json'), JSON.stringify(fastApiDocument))
  const tokens = { LATCHKEY_PROVE_USER_A: fastApiToken(1), LATCHKEY_PROVE_USER_B: fastApiToken(2) }
  for (const [hole, code] of [
    ['none', 0],
    ['DELETE unchecked', 1],
  ] as const) {
    const url = await served(t, fastApiItems(hole).listener)
    const args = [join(folder, 'dist/cli.js'), 'openapi.json', '--base-url', url, '--junit', 'report.xml']
    const ended = await run(other, process.execPath, args, tokens)
    t.equal(ended.code, code, ended.stderr)
    t.match(
      ended.stdout,
      code === 0 ? /5 of 5 operations serve only the owner/ : /1 of 5 operations have a hole/,
    )
    t.match(readFileSync(join(other, 'report.xml'), 'utf8'), `failures="${code}"`)
  }
})
