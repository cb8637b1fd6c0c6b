// Runs the tests that scripts/compile.js has compiled: all of the fast suite, or the files that are given.
//   node scripts/test.js [path/to/one.test.ts ...] [options of tap]
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const args = process.argv
  .slice(2)
  .map((arg) => (arg.endsWith('.test.ts') ? join('dist', arg.replace(/\.ts$/, '.js')) : arg))

const tap = spawn(join('node_modules', '.bin', 'tap'), args, { stdio: 'inherit' })
tap.on('exit', (code, signal) => {
  process.exitCode = signal ? 1 : (code ?? 1)
})
