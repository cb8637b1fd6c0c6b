import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { developmentSecret, KeptSecretUnusable } from '../../../../src/config/development-secret.ts'
import { secretWeakness } from '../../../../src/tokens/secret.ts'
import { runCommand } from '../../../support/process.ts'

t.test('the development secret is generated once, and readable by its user only', async (t) => {
  const folder = join(t.testdir(), 'data')
  const secret = developmentSecret(folder)
  t.equal(secretWeakness(secret), undefined)
  t.equal(developmentSecret(folder), secret)
  t.same(readdirSync(folder), ['secret_key'], 'no temporary file remains')
  t.equal(statSync(join(folder, 'secret_key')).mode & 0o777, 0o600)
})

t.test('a temporary file of a killed process is not read as the secret', async (t) => {
  const folder = t.testdir({ 'secret_key.x.tmp': 'q6Yz8' })
  const secret = developmentSecret(folder)
  t.equal(secretWeakness(secret), undefined)
  t.equal(readFileSync(join(folder, 'secret_key'), 'utf8'), secret)
})

t.test('processes that start concurrently share one secret', async (t) => {
  const cwd = t.testdir()
  // `keys list` fails under HS256, after the secret has been read.
  const starts = Array.from({ length: 4 }, () => runCommand(t, { ALGORITHM: 'HS256' }, cwd, 'keys', 'list'))
  for (const { output } of await Promise.all(starts)) t.match(output, /there are no keys to list/)
  t.same(readdirSync(join(cwd, 'data')), ['secret_key'])
})

t.test('an empty or weak stored secret is refused in one line, and not overwritten (A07)', async (t) => {
  const short = 'only-thirty-one-bytes-long-heh!'
  for (const content of ['', '\n', 'a', 'changeme', short, 'your-256-bit-secret-your-256-bit-secret']) {
    const cwd = t.testdir({ data: { secret_key: content } })
    const file = join(cwd, 'data/secret_key')
    const refusal = t.throws(
      () => developmentSecret(join(cwd, 'data')),
      KeptSecretUnusable,
    ) as unknown as Error
    t.match(
      refusal.message,
      /^SECRET_KEY, kept in DATA_DIR as \S+secret_key, must .*; restore the file .*, or delete it/,
    )
    if (content.length > 1) t.notOk(refusal.message.includes(content))
    t.equal(readFileSync(file, 'utf8'), content)
  }
  const cwd = t.testdir({ data: { secret_key: '' } })
  const { code, output } = await runCommand(t, {}, cwd)
  t.equal(code, 1)
  t.match(output, /^latchkey: SECRET_KEY, kept in DATA_DIR as data\/secret_key, must not be empty; .*\n$/)
  writeFileSync(join(cwd, 'data/secret_key'), '')
  const own = await runCommand(t, { SECRET_KEY: 'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u' }, cwd, 'keys', 'list')
  t.match(own.output, /there are no keys to list/, 'with SECRET_KEY set, the file is not read')
})
