import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { password } from '../../helper.ts'
import { service } from '../../support/client-service.ts'

/** Runs a command without tap's environment. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { PATH = '', HOME = '' } = process.env
  const { stdout } = await promisify(execFile)(command, args, { cwd, env: { PATH, HOME } }).catch((error) => {
    throw new Error(`${command} ${args.join(' ')}: ${error.stdout}${error.stderr}`)
  })
  return stdout
}

const consumer = `
import { createLatchkey, isProblem, type ProblemCode, type Schemas, webStorage } from 'latchkey-client'

declare const process: { argv: string[] }
declare const console: { log(text: string): void }

const client = createLatchkey({ baseUrl: process.argv[2] ?? '' })
const { data } = await client.session.signUp({ email: 'carol@example.com', password: '${password}', name: 'Carol' })
const path = { user_id: data && 'user' in data ? data.user.id : '' }
const made = await client.POST('/api/{user_id}/tasks', { params: { path }, body: { title: 'x' } })
const task: Schemas['Task'] | undefined = made.data
const refused = await client.GET('/api/{user_id}/tasks', { params: { path: { user_id: 'someone' } } })
const code: ProblemCode | undefined = isProblem(refused.error, 'not_owner') ? refused.error.code : undefined
console.log(JSON.stringify({ title: task?.title, code, web: typeof webStorage }))
`

t.test('the client package has its files, compiles and runs in another project', async (t) => {
  const root = t.testdir({ consumer: { 'package.json': '{"type":"module"}', 'main.ts': consumer } })
  const [pack] = JSON.parse(
    await run('client', 'npm', 'pack', '--json', '--silent', '--pack-destination', root),
  )
  const names = pack.files.map(({ path }: { path: string }) => path)
  const modules = readdirSync('client/src').map((name) => name.replace(/\.ts$/, ''))
  t.same(
    names.sort(),
    [
      'LICENSE',
      'README.md',
      'package.json',
      ...modules.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]),
    ].sort(),
  )

  await run(root, 'tar', '-xf', pack.filename)
  const folder = join(root, 'package')
  const scripts = readdirSync(join(folder, 'dist')).filter((name) => name.endsWith('.js'))
  const size = scripts.reduce((sum, name) => sum + statSync(join(folder, 'dist', name)).size, 0)
  t.ok(size < 20_000, `${size} bytes of JavaScript, neither minified nor compressed`)
  t.same(Object.keys(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).dependencies), [
    'openapi-fetch',
  ])

  const installed = join(root, 'consumer', 'node_modules')
  mkdirSync(installed)
  symlinkSync(folder, join(installed, 'latchkey-client'))
  mkdirSync(join(folder, 'node_modules'))
  for (const name of ['openapi-fetch', 'openapi-typescript-helpers'])
    symlinkSync(resolve('node_modules', name), join(folder, 'node_modules', name))

  const { url } = await service(t)
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const compilerOptions = {
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable'],
      types: [],
      module,
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
    }
    writeFileSync(
      join(root, 'consumer', 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['main.ts'] }),
    )
    await run('.', 'npx', 'tsc', '--project', join(root, 'consumer'))
  }
  const output = await run(join(root, 'consumer'), process.execPath, 'main.js', url)
  t.same(JSON.parse(output), { title: 'x', code: 'not_owner', web: 'function' })
})
