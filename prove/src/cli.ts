#!/usr/bin/env node
import { run } from './command.ts'

// Other users of the machine read the arguments of a process, and tokens may be among them.
process.title = 'latchkey-prove'

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  signal: stop.signal,
})
