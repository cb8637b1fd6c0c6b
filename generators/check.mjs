// Generates a client with each generator, compiles it under strict, and runs a signup, a new task and a refused request
// against the service, which must be built (`npm run build` one folder up).
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

process.chdir(import.meta.dirname)

/** docs/clients.md has the same commands. */
const commands = {
  'openapi-typescript':
    'openapi-typescript ../openapi.yaml --default-non-nullable false -o out/openapi-typescript.ts',
  oazapfts: 'oazapfts ../openapi.yaml out/oazapfts.ts',
  orval: 'orval --config orval.config.js',
  'swagger-typescript-api':
    'swagger-typescript-api generate -p ../openapi.yaml -o out -n swagger-typescript-api.ts',
  'hey-api': 'openapi-ts -i ../openapi.yaml -o out/hey-api',
}

function run(command) {
  const [name, ...args] = command.split(' ')
  execFileSync(join('node_modules/.bin', name), args, { stdio: 'pipe', encoding: 'utf8' })
}

/** Starts the service on a new database. */
async function startService() {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-generators-'))
  const env = { PATH: process.env.PATH, PORT: '0', DATA_DIR: folder, LOG_LEVEL: 'error' }
  const service = spawn(process.execPath, ['../dist/bundle/server.js'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const stop = () => {
    service.kill('SIGTERM')
    service.on('close', () => rmSync(folder, { recursive: true, force: true }))
  }
  const url = await new Promise((resolve, reject) => {
    let text = ''
    service.stdout.setEncoding('utf8').on('data', (part) => {
      text += part
      const found = /listens on (http:\S+)/.exec(text)
      if (found) resolve(found[1])
    })
    service.on('close', () => reject(new Error(`the service ended: ${text}`)))
  })
  return { url, stop }
}

const expected = {
  name: 'Alice',
  title: 'Buy milk',
  byKey: ['Buy milk'],
  refused: { status: 403, code: 'not_owner' },
}

rmSync('out', { recursive: true, force: true })
for (const [name, command] of Object.entries(commands)) {
  run(command)
  process.stdout.write(`generated  ${name}\n`)
}
run('tsc --project .')
process.stdout.write('compiled   all, under strict\n')

const require = createRequire(import.meta.url)
const { url, stop } = await startService()
try {
  for (const name of Object.keys(commands)) {
    const { flow } = require(`./out/compiled/flows/${name}.js`)
    const outcome = await flow({ url, email: `${randomUUID()}@example.com` })
    if (JSON.stringify(outcome) !== JSON.stringify(expected))
      throw new Error(`${name}: ${JSON.stringify(outcome)}`)
    process.stdout.write(`ran        ${name}\n`)
  }
} finally {
  stop()
}
