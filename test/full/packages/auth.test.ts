import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { packageManifest } from '../../../scripts/package.ts'
import { secret, twoUsers } from '../../helper.ts'
import { servedKeys } from '../../support/jwks.ts'

const run = promisify(execFile)

const tsconfig = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ['node'],
    outDir: 'out',
  },
}

/** A separate project with only the package and its dependencies. */
function consumer(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-consumer-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
  writeFileSync(join(folder, 'types.ts'), types)
  writeFileSync(join(folder, 'required.cjs'), required)
  cpSync('examples/notes-service/service.ts', join(folder, 'service.ts'))

  const made = join(folder, 'node_modules/latchkey')
  const manifest = packageManifest(JSON.parse(readFileSync('package.json', 'utf8')))
  for (const file of manifest.files) cpSync(file, join(made, file))
  writeFileSync(join(made, 'package.json'), JSON.stringify(manifest))
  const needed = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
  // The example's own: it serves its OpenAPI document.
  const asked = [...needed, '@types/node', '@fastify/swagger']
  for (const name of asked) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(resolve('node_modules', name), link)
  }
  return folder
}

const required = "process.stdout.write(typeof require('latchkey/auth').latchkeyAuth)"

/** What must compile, and what must not. */
const types = `
import Fastify from 'fastify'
import { latchkeyAuth, type OwnerId, type Principal } from 'latchkey/auth'

const app = Fastify({ logger: true })
await app.register(latchkeyAuth, {
  betterAuthUrl: 'https://app.example.com',
  assertLive: ({ userId, issuedAt = 0 }) => {
    if (issuedAt < 1 && userId === 'x') throw new Error('over')
  },
})
// @ts-expect-error: there is no such option
await app.register(latchkeyAuth, { secretKey: 'x' })
// @ts-expect-error: no such access
app.get('/a', { config: { access: 'admin' } }, async () => 1)

app.get('/:user_id', { config: { access: 'owner' } }, async (request) => {
  const owner: OwnerId = request.owner
  const caller: Principal = request.caller
  const name: string | undefined = request.user?.profile?.name
  const reason: string | undefined = request.problem?.reason
  // @ts-expect-error: user may be undefined
  request.user.sub
  // @ts-expect-error: a string is not an OwnerId
  const other: OwnerId = 'user'
  return { owner, caller, name, reason, other }
})
await app.register(async (scope) => {
  scope.accessOfScope = 'public'
})
`

/** Arguments for `env`: Node without tap's instrumentation. */
function bare(args: string[], env: Record<string, string> = {}): string[] {
  const settings = Object.entries({ PATH: process.env['PATH'], ...env })
  return ['-i', ...settings.map(([name, value]) => `${name}=${value}`), process.execPath, ...args]
}

/** Starts the compiled example. @returns its URL */
async function start(t: Test, cwd: string, env: Record<string, string>): Promise<string> {
  const child = spawn('env', bare(['out/service.js'], { PORT: '0', ...env }), { cwd })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  return /http:\S+/.exec(String(line))?.[0] ?? ''
}

t.test('another project compiles the example against the package, and runs it', async (t) => {
  const cwd = consumer(t)
  const tsc = resolve('node_modules/typescript/bin/tsc')
  const compiled = await run('env', bare([tsc]), { cwd }).catch(({ stdout }) => ({ stdout }))
  t.equal(compiled.stdout, '')
  t.equal((await run('env', bare(['required.cjs']), { cwd })).stdout, 'function', 'by require()')

  for (const algorithm of ['HS256', 'EdDSA']) {
    const keys = await servedKeys(t)
    const { app, alice, bob } = await twoUsers(t, { env: { ALGORITHM: algorithm, PUBLIC_URL: keys.origin } })
    keys.serve(app)
    const url = await start(t, cwd, {
      LATCHKEY_URL: keys.origin,
      ...(algorithm === 'HS256' ? { SECRET_KEY: secret } : {}),
    })
    const ask = async (path: string, token: string) =>
      (await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })).status
    t.equal(await ask(`/api/${alice.id}/notes`, alice.token), 200, algorithm)
    t.equal(await ask(`/api/${alice.id}/notes`, bob.token), 403, algorithm)
    t.equal(await ask(`/api/${alice.id}/notes`, 'x'), 401, algorithm)
  }
})

const service = JSON.parse(readFileSync('package.json', 'utf8'))

t.test('npm pack uses the manifest of latchkey/auth, and restores that of the service', async (t) => {
  const folder = t.testdir({ dist: t.fixture('symlink', resolve('dist')) })
  const file = join(folder, 'package.json')
  const text = readFileSync('package.json', 'utf8')
  writeFileSync(file, text)
  const step = (name: string) =>
    run(process.execPath, [resolve('dist/scripts/package.js'), name], { cwd: folder })

  for (const times of ['once', 'after an interrupted run']) {
    await step('prepack')
    const { dependencies, peerDependencies, files, ...rest } = JSON.parse(readFileSync(file, 'utf8'))
    const names = ['@fastify/jwt', 'fastify-plugin', 'lru-cache']
    t.same(dependencies, Object.fromEntries(names.map((name) => [name, service.dependencies[name]])), times)
    t.same(Object.keys(peerDependencies), ['fastify'])
    t.ok(files.includes('dist/plugins/auth.d.ts'))
    t.notOk(rest.devDependencies ?? rest.scripts ?? rest.overrides, 'no scripts, no development dependencies')
  }
  await step('postpack')
  t.equal(readFileSync(file, 'utf8'), text)
})
