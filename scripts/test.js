// Runs the tests that scripts/compile.js has compiled: the fast suite, the full one, or the files that are given.
//   node scripts/test.js [--full [--after-fast]] [--reporter=tap] [path/to/one.test.ts ...]
// --after-fast leaves out what the fast suite has run and would run in the same way: files that use no server, or for
// whose subject the database only stands by.
// Without tap's own runner, whose loaders instrument each process and cost more than most tests.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setPriority, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { failures, total } from '../.ci/tap-results.js'

const args = process.argv.slice(2)
const asTap = args.includes('--reporter=tap')
const full = args.includes('--full')
const afterFast = args.includes('--after-fast')
const given = args
  .filter((arg) => !arg.startsWith('--'))
  .map((arg) => (arg.endsWith('.ts') ? join('dist', arg.replace(/\.ts$/, '.js')) : arg))

/** Processes at a time. Most machines of CI have two cores; the full suite's tests wait for servers, too. */
const processes = full ? 4 : 2

/** The slowest files, which come first so that no process is left alone with one. */
const slow = [
  'operations',
  'plugins/signing-keys',
  'full/faults/slow-clients',
  'full/faults/disk-full',
  'full/faults/kills',
  'full/instances/redis',
  'full/faults/database-refusals',
  'full/scale/pgbouncer',
  'full/faults/database.test',
  'full/instances/keys',
  'full/instances/sessions',
  'full/src/tokens/better-auth',
  'full/scripts/generated-resource',
  'full/packages/client',
]

/** Their subject is decided before a statement, or in another process. */
const besideDatabase = [
  'contract/',
  'plugins/http/',
  'plugins/jwt',
  'plugins/log/request-log',
  'routes/gateway-wire',
  'src/config/',
  'src/gateway/',
  'support/',
]

const tests = 'dist/test'
const fullTests = join(tests, 'full')

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .sort()
    .map((file) => join(folder, file))
}

const serverUsers = new Map()

/** Whether a test file, or what it imports of the tests, reads the URL of a server. */
function usesServer(file) {
  if (serverUsers.has(file)) return serverUsers.get(file)
  // Ends a circle of imports.
  serverUsers.set(file, false)
  const text = readFileSync(file, 'utf8')
  const imported = [...text.matchAll(/(?:from|import) "(\.[^"]+)"/g)]
    .map(([, path]) => join(dirname(file), path))
    .filter((path) => path.startsWith(tests))
  const uses = /\bTEST_(DATABASE|REDIS)_URL\b/.test(text) || imported.some(usesServer)
  serverUsers.set(file, uses)
  return uses
}

const isAmong = (names) => (file) => names.some((name) => file.startsWith(join(tests, name)))

function slowFirst(files) {
  const isSlow = isAmong(slow)
  return [...files.filter(isSlow), ...files.filter((file) => !isSlow(file))]
}

function fastSuite() {
  const isBesideDatabase = isAmong(besideDatabase)
  return slowFirst(
    testFiles(tests)
      .filter((file) => !file.startsWith(fullTests))
      .filter((file) => !afterFast || (usesServer(file) && !isBesideDatabase(file))),
  )
}

/** @returns its TAP output */
function run({ name, argv, priority = 0 }) {
  const env = { TAP_TIMEOUT: '900', ...(full ? { TEST_SAMPLES: 'all' } : {}), ...process.env }
  // Optimizing the embedded database's WebAssembly takes more than it saves here.
  const child = spawn(process.execPath, ['--enable-source-maps', '--liftoff-only', ...argv], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  setPriority(child.pid, priority)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (part) => {
    output += part
    if (asTap) process.stdout.write(part)
  })
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      // A process that died has no failed test of its own.
      if (code !== 0 && total(output, 'fail') === 0) {
        const failure = `not ok - ${name} ended with ${signal ?? code}\n# { total: 1, pass: 0, fail: 1 }\n`
        if (asTap) process.stdout.write(failure)
        output += failure
      }
      resolve(output)
    })
  })
}

const claims = mkdtempSync(join(tmpdir(), 'latchkey-tests-'))
/** In the full suite one begins with the files of the fast one, and gives way to the others, some of which promise a time. */
const shares = Array.from({ length: processes }, (_, index) => {
  const fromTheEnd = full && index === 0
  return {
    name: `share ${index + 1}`,
    priority: fromTheEnd ? 10 : 0,
    argv: [
      join(tests, 'support/share.js'),
      claims,
      String(index + 1),
      ...(fromTheEnd ? ['--from-the-end'] : []),
    ],
  }
})

/** All of `jobs`, at most so many at a time. */
async function runAll(jobs, limit) {
  const outputs = []
  const queue = jobs.values()
  const worker = async () => {
    for (const job of queue) outputs.push(await run(job))
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return outputs
}

const alone = (file) => ({ name: file, argv: [file] })
const outputs = []
// What the fast suite starts is no process of the service.
if (full || given.length > 0)
  execFileSync(process.execPath, ['scripts/bundle.js', '--if-older'], { stdio: 'inherit' })
if (given.length > 0) outputs.push(...(await runAll(given.map(alone), 2)))
else {
  // Not as arguments, which tap makes the names of its folders of.
  const files = full ? [...slowFirst(testFiles(fullTests)), ...fastSuite().reverse()] : fastSuite()
  writeFileSync(join(claims, 'files.json'), JSON.stringify(files))
  outputs.push(...(await runAll(shares, processes)))
}
rmSync(claims, { recursive: true })

const sum = (count) => outputs.reduce((all, output) => all + total(output, count), 0)
const totals = Object.fromEntries(['total', 'pass', 'fail', 'skip', 'todo'].map((name) => [name, sum(name)]))
if (!asTap)
  for (const output of outputs) for (const line of failures(output)) process.stdout.write(`${line}\n`)
const entries = Object.entries(totals).map(([name, value]) => `${name}: ${value}`)
process.stdout.write(`# { ${entries.join(', ')} }\n`)
process.exitCode = totals.fail > 0 || totals.pass === 0 ? 1 : 0
