import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import t from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import { runCommand, startCommand } from '../../support/process.ts'
import { production } from '../../support/production.ts'

const users = 100_000
/** Lines are padded, so that buffering the whole file would show. */
const bytesOfLine = 1_500
const bad = new Set([17, 99_999])

const lineOf = (number: number) => {
  const email = bad.has(number) ? 'no address' : `user${number}@example.com`
  const password_hash = '$2b$12$i0XsDoBtxd.byVZUcKQYiOuXWtQXbPKgvKbM5M6wVHeiIOcnjkf/G'
  const line = {
    id: `u${number}`,
    email,
    name: `User ${number}`,
    password_hash,
    created_at: '2024-01-31T12:00:00Z',
  }
  return `${JSON.stringify(line).padEnd(bytesOfLine - 1)}\n`
}

async function writeLines(path: string, count: number): Promise<void> {
  const file = createWriteStream(path)
  for (let from = 1; from <= count; from += 1_000) {
    const lines = Array.from({ length: Math.min(1_000, count) }, (_, at) => lineOf(from + at))
    if (!file.write(lines.join(''))) await once(file, 'drain')
  }
  file.end()
  await finished(file)
}

/** Makes a command print its peak memory at exit, in KiB. */
const measured = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(
    "process.on('exit',()=>process.stderr.write('maxRSS '+process.resourceUsage().maxRSS+'\\n'))",
  )}`,
}

const memoryOf = (output: string) => Number(/^maxRSS (\d+)$/m.exec(output)?.[1]) / 1024

t.test('an import of 100,000 users resumes after SIGINT and kill -9', { timeout: 120_000 }, async (t) => {
  const cwd = t.testdir()
  const env = await production(t)
  const db = openPostgres({ url: env['DATABASE_URL'] as string, poolSize: 1, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  const countUsers = async () => {
    const { count } = await db
      .selectFrom('users')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    return count
  }
  await writeLines(join(cwd, 'few.jsonl'), 1_000)
  await writeLines(join(cwd, 'users.jsonl'), users)
  const run = (file: string) => startCommand(t, { ...env, ...measured }, cwd, 'import', file)

  t.match(await runCommand(t, env, cwd, 'import', 'few.jsonl'), {
    code: 1,
    output: 'latchkey: the database schema is behind: run `npm run migrate` first\n',
  })
  await runCommand(t, env, cwd, 'migrate')
  const few = await run('few.jsonl').ended
  t.match(few, { code: 1, output: /^imported 999, already there 0, refused 1$/m })

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGKILL', null],
  ] as const) {
    const before = await countUsers()
    const cut = run('users.jsonl')
    const [, imported = '', alreadyThere = ''] = await cut.untilOutput(
      /^line .*: imported ([\d,]+), already there ([\d,]+)/m,
    )
    cut.kill(signal)
    t.equal((await cut.ended).code, code, signal)
    const [made, found] = [imported, alreadyThere].map((text) => Number(text.replaceAll(',', '')))
    const after = await countUsers()
    t.comment(`${signal}: ${before} before, reported ${made} imported and ${found} found, ${after} after`)
    t.ok(after >= before + (made ?? 0), 'every user reported as imported is stored')
    t.ok(after < users - bad.size, 'the import was incomplete')
  }

  const there = await countUsers()
  const begun = performance.now()
  const whole = await run('users.jsonl').ended
  t.comment(`the rest in ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  const digits = (count: number) => count.toLocaleString('en-US')
  t.equal(whole.code, 1)
  t.ok(
    whole.output.includes(
      `imported ${digits(users - bad.size - there)}, already there ${digits(there)}, refused ${bad.size}\n`,
    ),
    whole.output,
  )
  for (const line of bad) t.match(whole.output, new RegExp(`^line ${line}: email is not an address`, 'm'))
  t.equal(await countUsers(), users - bad.size)

  const [small, large] = [memoryOf(few.output), memoryOf(whole.output)]
  const file = (users * bytesOfLine) / 1024 / 1024
  t.comment(
    `${small.toFixed(0)} MiB for 1,000 lines, ${large.toFixed(0)} MiB for a file of ${file.toFixed(0)} MiB`,
  )
  t.ok(large - small < file * 0.7, 'the file is not buffered in memory')
})
