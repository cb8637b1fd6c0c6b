import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)

const { sourceFolders } = (await import(resolve('scripts/source-folders.js'))) as { sourceFolders: string[] }

/** What compiles, migrates and serves. */
const parts = ['.ci', 'docs', ...sourceFolders]
const files = ['package.json', 'package-lock.json', 'openapi.yaml', 'CHANGELOG.md', '.env.example']

t.test('a resource of every type passes its tests', { timeout: 180_000 }, async (t) => {
  const root = mkdtempSync(resolve('dist/new-resource-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  for (const path of [...parts, ...files]) cpSync(path, join(root, path), { recursive: true })
  symlinkSync(resolve('node_modules'), join(root, 'node_modules'))
  const node = async (...args: string[]) =>
    (await run(process.execPath, args, { cwd: root, env: { PATH: process.env['PATH'] }, maxBuffer: 1e9 }))
      .stdout

  const fields =
    'a:string b:text? c:integer d:number e:boolean f:date g:datetime h:json? i:enum:x,y j:integer?'
  await node(resolve('dist/scripts/new-resource/index.js'), 'test_specimens', ...fields.split(' '))
  await node('scripts/compile.js')
  writeFileSync(join(root, 'openapi.yaml'), await node('dist/scripts/contract.js'))
  writeFileSync(join(root, 'docs/errors.md'), await node('dist/scripts/problem-docs.js'))
  await node('dist/test/support/before.js')
  const passed = await node(
    'scripts/test.js',
    'test/src/resources/test_specimens.test.ts',
    'test/contract/patterns.test.ts',
  )
  t.match(passed, /pass: \d\d, fail: 0/)
})
